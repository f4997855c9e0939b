package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.backend.cpu.Selection.Scratch;
import java.util.Arrays;

/**
 * Logits from {@link KeySketches}: the rotated query's values are rounded to small whole numbers, whose products with signs are counts
 * of bits, as in RaBitQ (arXiv 2405.12497, section 3.3).
 */
final class SketchScorer extends ShareScorer {

    /** Greatest value of a rotated query. */
    private static final int LEVELS = (1 << SelectionKernels.NUMBER_BITS - 1) - 1;

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

    /** For each row the step of its numbers, and these as {@link SelectionKernels#signSums} takes them. */
    @Override
    public void prepare(Selection selection) {
        float[] steps = selection.prepared(selection.rows());
        int[] planes = selection.planes(selection.rows() * planes());
        Arrays.fill(planes, 0);
        float[] rotated = new float[headDim];
        for (int r = 0; r < selection.rows(); r++) {
            System.arraycopy(selection.queries(), r * headDim, rotated, 0, headDim);
            sketches.rotation().apply(rotated, 0);
            float max = 0;
            for (float value : rotated) {
                max = Math.max(max, Math.abs(value));
            }
            steps[r] = Math.max(max, Float.MIN_NORMAL) / LEVELS;
            int at = r * planes();
            for (int i = 0; i < headDim; i++) {
                int number = Math.round(rotated[i] / steps[r]);
                planes[at] -= number;
                for (int b = 0; b < SelectionKernels.NUMBER_BITS; b++) {
                    int plane = at + 1 + i / Integer.SIZE * SelectionKernels.NUMBER_BITS + b;
                    planes[plane] |= (number >>> b & 1) << i;
                }
            }
        }
    }

    /** Of a row. */
    private int planes() {
        return 1 + sketches.words() * SelectionKernels.NUMBER_BITS;
    }

    @Override
    void logits(Selection selection, int from, int end, float[] logits, int stride, Scratch scratch) {
        QueryTile tile = selection.tile();
        TokenList list = selection.list();
        int words = sketches.words();
        int[][] arrays = scratch.ints(words + 1, (end - from) * pageSize);
        int[] sums = arrays[words];
        int e = from;
        while (e < end) {
            int page = list.page(e);
            int runEnd = PageData.endOfRun(list, e, end);
            float[] means = sketches.means(page, tile.layer());
            int same = e + 1;
            while (same < runEnd && sketches.means(list.page(same), tile.layer()) == means) {
                same++;
            }
            int tokens = (same - e) * pageSize;
            for (int w = 0; w < words; w++) {
                int[] signs = sketches.signs(page, tile.layer());
                System.arraycopy(signs, sketches.signsOffset(page, tile.kvHead(), w), arrays[w], 0, tokens);
            }
            for (int r = 0; r < selection.rows(); r++) {
                kernels.signSums(arrays, words, tokens, selection.planes(), r * planes(), sums);
                kernels.scaleSums(
                        sums,
                        tokens,
                        sketches.factors(page, tile.layer()),
                        sketches.factorsOffset(page, tile.kvHead()),
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
