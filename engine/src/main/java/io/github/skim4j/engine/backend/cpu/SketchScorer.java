package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.backend.cpu.Selection.Scratch;

/**
 * Logits from {@link KeySketches}: a table says for each four bits of a sketch what they add to the product with the rotated query (as in
 * "Quicker ADC", arXiv 1812.09162), whose values are small whole numbers.
 */
final class SketchScorer extends ShareScorer {

    /** Greatest value of a rotated query: four bits of each of two bytes add up to at most 127. */
    private static final int LEVELS = 7;

    /** Entries of a table. */
    private static final int TABLE = 16;

    private final SelectionKernels kernels;
    private final KeySketches sketches;
    private final int headDim;
    private final int pageSize;

    SketchScorer(CpuKernels kernels, KeySketches sketches, int headDim, int pageSize) {
        super(kernels);
        this.kernels = kernels.selection();
        this.sketches = sketches;
        this.headDim = headDim;
        this.pageSize = pageSize;
    }

    @Override
    public int bytes() {
        return sketches.bytes();
    }

    /** For each row the step of the tables' numbers; then the tables, [row][headDim / 4][16]. */
    @Override
    public void prepare(Selection selection) {
        float[] steps = selection.prepared(selection.rows());
        byte[] tables = selection.tables(selection.rows() * headDim / 4 * TABLE);
        float[] rotated = new float[headDim];
        for (int r = 0; r < selection.rows(); r++) {
            System.arraycopy(selection.queries(), r * headDim, rotated, 0, headDim);
            sketches.rotation().apply(rotated, 0);
            float max = 0;
            for (float value : rotated) {
                max = Math.max(max, Math.abs(value));
            }
            steps[r] = Math.max(max, Float.MIN_NORMAL) / LEVELS;
            for (int i = 0; i < headDim; i += 4) {
                table(rotated, i, steps[r], tables, (r * headDim + i) / 4 * TABLE);
            }
        }
    }

    /** Sums of four values, positive where a bit is set and negative where it isn't. */
    private static void table(float[] values, int from, float step, byte[] table, int to) {
        int sum = 0;
        for (int i = 0; i < 4; i++) {
            sum -= Math.round(values[from + i] / step);
        }
        table[to] = (byte) sum;
        for (int bits = 1; bits < TABLE; bits++) {
            int value = Math.round(values[from + Integer.numberOfTrailingZeros(bits)] / step);
            table[to + bits] = (byte) (table[to + (bits & bits - 1)] + 2 * value);
        }
    }

    @Override
    void logits(Selection selection, int from, int end, float[] logits, int stride, Scratch scratch) {
        QueryTile tile = selection.tile();
        TokenList list = selection.list();
        int e = from;
        while (e < end) {
            int page = list.page(e);
            int runEnd = PageData.endOfRun(list, e, end);
            float[] means = sketches.means(page, tile.layer());
            int same = e + 1;
            while (same < runEnd && sketches.means(list.page(same), tile.layer()) == means) {
                same++;
            }
            for (int r = 0; r < selection.rows(); r++) {
                kernels.sketch(
                        sketches.signs(page, tile.layer()),
                        sketches.signsOffset(page, tile.kvHead()),
                        headDim / 8,
                        sketches.factors(page, tile.layer()),
                        sketches.factorsOffset(page, tile.kvHead()),
                        pageSize,
                        same - e,
                        selection.tables(),
                        r * headDim / 4 * TABLE,
                        selection.prepared()[r],
                        product(selection.queries(), r * headDim, means, tile.kvHead() * headDim),
                        logits,
                        r * stride + (e - from) * pageSize);
            }
            e = same;
        }
    }

    private float product(float[] query, int from, float[] mean, int at) {
        float even = 0;
        float odd = 0;
        for (int i = 0; i < headDim; i += 2) {
            even += query[from + i] * mean[at + i];
            odd += query[from + i + 1] * mean[at + i + 1];
        }
        return even + odd;
    }

    @Override
    void expSums(float[] logits, int from, int size, int pages, float shift, float[] sums, int to) {
        kernels.roughExpSums(logits, from, size, pages, shift, sums, to);
    }
}
