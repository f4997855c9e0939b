package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.backend.cpu.Selection.Scratch;

/** Logits from {@link QuantizedKeys}, of all dimensions or of label channels. */
final class QuantizedScorer extends TokenScorer {

    private final CpuKernels kernels;
    private final QuantizedKeys keys;
    private final int headDim;
    private final int pageSize;

    QuantizedScorer(CpuKernels kernels, QuantizedKeys keys, int headDim, int pageSize) {
        super(kernels);
        this.kernels = kernels;
        this.keys = keys;
        this.headDim = headDim;
        this.pageSize = pageSize;
    }

    @Override
    public int bytes() {
        return keys.bytes();
    }

    /** The queries' channels in their units, [even rows][channels], and behind them their sums. */
    @Override
    public void prepare(Selection selection) {
        int channels = keys.channels();
        int rows = Attend.even(selection.rows());
        QueryTile tile = selection.tile();
        float[] prepared = selection.prepared(rows * (channels + 1));
        for (int r = 0; r < selection.rows(); r++) {
            float sum = 0;
            for (int c = 0; c < channels; c++) {
                float q = selection.queries()[r * headDim + keys.dimension(tile.layer(), tile.kvHead(), c)];
                prepared[r * channels + c] = q * SelectionKernels.unit(c);
                sum += q;
            }
            prepared[rows * channels + r] = sum;
        }
    }

    @Override
    void logits(Selection selection, int entry, float[] logits, int to, int stride, Scratch scratch) {
        QueryTile tile = selection.tile();
        int page = selection.list().page(entry);
        kernels.selection()
                .quantized(
                        selection.prepared(),
                        keys.channels(),
                        selection.rows(),
                        keys.of(page, tile.layer()),
                        keys.offset(page, tile.kvHead()),
                        pageSize,
                        logits,
                        to,
                        stride);
    }
}
