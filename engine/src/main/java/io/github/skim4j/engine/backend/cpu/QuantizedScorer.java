package io.github.skim4j.engine.backend.cpu;

/** Logits from {@link QuantizedKeys}, of all dimensions or of label channels. */
final class QuantizedScorer extends ShareScorer {

    private final SelectionKernels kernels;
    private final QuantizedKeys keys;
    private final int headDim;
    private final int pageSize;

    QuantizedScorer(CpuKernels kernels, QuantizedKeys keys, int headDim, int pageSize) {
        super(kernels);
        this.kernels = kernels.selection();
        this.keys = keys;
        this.headDim = headDim;
        this.pageSize = pageSize;
    }

    @Override
    public int bytes() {
        return keys.bytes();
    }

    /** The queries' channels, [rows][channels], and behind them their sums. */
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
                prepared[rows + r * channels + c] = q;
                sum += q;
            }
            prepared[r] = sum;
        }
    }

    @Override
    void logits(Selection selection, int entry, float[] logits, int to, int stride) {
        QueryTile tile = selection.tile();
        kernels.quantized(
                selection.prepared(),
                Attend.even(selection.rows()),
                selection.rows(),
                keys.channels(),
                keys.of(selection.list().page(entry), tile.layer()),
                keys.offset(tile.kvHead()),
                pageSize,
                logits,
                to,
                stride);
    }
}
