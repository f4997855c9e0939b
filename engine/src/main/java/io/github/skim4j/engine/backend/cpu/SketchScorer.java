package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.backend.cpu.Selection.Scratch;
import java.util.Arrays;

/**
 * Logits from {@link KeySketches}: the rotated query's values are rounded to small whole numbers, whose products with signs are counts
 * of bits, as in RaBitQ (arXiv 2405.12497, section 3.3).
 */
final class SketchScorer implements PageScorer {

    /** What a rotated query is divided by at least. */
    private static final float LEAST = 1e-30f;

    /** Greatest value of a rotated query. */
    private static final int LEVELS = (1 << SelectionKernels.NUMBER_BITS - 1) - 1;

    /** Pages whose logits lie side by side, [token of the page][page]. */
    private static final int WIDTH = MOST_PAGES;

    private final SelectionKernels kernels;
    private final AttentionKernels attentionKernels;
    private final KeySketches sketches;
    private final int headDim;
    private final int pageSize;

    SketchScorer(CpuKernels kernels, KeySketches sketches, int headDim, int pageSize) {
        this.kernels = kernels.selection();
        attentionKernels = kernels.attention();
        this.sketches = sketches;
        this.headDim = headDim;
        this.pageSize = pageSize;
    }

    @Override
    public boolean isShare() {
        return true;
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
            max = Math.max(max, LEAST);
            float ofStep = LEVELS / max;
            steps[r] = max * (1f / LEVELS);
            int at = r * planes();
            for (int i = 0; i < headDim; i++) {
                int number = Math.round(rotated[i] * ofStep);
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
    public void score(
            Selection selection,
            int from,
            int end,
            float[] scores,
            int stride,
            float[] references,
            int reference,
            int referenceStride,
            Scratch scratch) {
        Panel panel = panel(selection, from, end, scratch);
        boolean whole = areWhole(selection, from, end);
        for (int r = 0; r < selection.rows(); r++) {
            float[] logits = logits(selection, from, end, r, panel, scratch);
            if (!whole) {
                hideUnread(selection, from, end, logits);
            }
            float max = attentionKernels.max(logits, 0, WIDTH * pageSize);
            references[reference + r * referenceStride] = max;
            kernels.roughExpSums(logits, pageSize, WIDTH, max, logits, WIDTH * pageSize);
            System.arraycopy(logits, WIDTH * pageSize, scores, r * stride + from, end - from);
        }
    }

    /**
     * Sketches of pages side by side, [token of the page][page].
     *
     * @param signs from the array {@code first} on, one for each word
     * @param factors from {@code from} on
     * @param means that all of the pages' keys were taken relative to, [kvHead][headDim]; {@code null} if these differ
     */
    record Panel(int[][] signs, int first, short[] factors, int from, float[] means) {}

    /** Those of a list's entries, as they are stored or, where the pages lie apart, brought together. */
    Panel panel(Selection selection, int from, int end, Scratch scratch) {
        QueryTile tile = selection.tile();
        int page = selection.list().page(from);
        float[] means = commonMeans(selection, from, end);
        if (end - from == WIDTH
                && sketches.blockPages() == WIDTH
                && sketches.place(page, 0) == 0
                && PageData.endOfRun(selection.list(), from, end) == end) {
            return new Panel(
                    sketches.signs(page, tile.layer()),
                    tile.kvHead() * sketches.words(),
                    sketches.factors(page, tile.layer()),
                    sketches.factorsOffset(page, tile.kvHead()),
                    means);
        }
        return gather(selection, from, end, means, scratch);
    }

    private float[] commonMeans(Selection selection, int from, int end) {
        float[] means = means(selection, from);
        int e = from + 1;
        while (e < end && means(selection, e) == means) {
            e++;
        }
        return e == end ? means : null;
    }

    private float[] means(Selection selection, int entry) {
        return sketches.means(selection.list().page(entry), selection.tile().layer());
    }

    private Panel gather(Selection selection, int from, int end, float[] means, Scratch scratch) {
        QueryTile tile = selection.tile();
        TokenList list = selection.list();
        int size = WIDTH * pageSize;
        int words = sketches.words();
        int[][] signs = scratch.words(words, size);
        short[] factors = scratch.shorts(size);
        int runEnd;
        for (int e = from; e < end; e = runEnd) {
            int page = list.page(e);
            runEnd = PageData.endOfRun(list, e, end);
            int[][] stored = sketches.signs(page, tile.layer());
            for (int w = 0; w < words; w++) {
                int[] word = stored[tile.kvHead() * words + w];
                copyRows(word, sketches.place(page, 0), signs[w], e - from, runEnd - e);
            }
            int first = sketches.factorsOffset(page, tile.kvHead());
            copyRows(sketches.factors(page, tile.layer()), first, factors, e - from, runEnd - e);
        }
        for (int t = 0; t < pageSize; t++) {
            Arrays.fill(factors, t * WIDTH + end - from, (t + 1) * WIDTH, (short) 0);
        }
        return new Panel(signs, 0, factors, 0, means);
    }

    private void copyRows(Object rows, int from, Object target, int to, int pages) {
        for (int t = 0; t < pageSize; t++) {
            System.arraycopy(rows, from + t * sketches.blockPages(), target, to + t * WIDTH, pages);
        }
    }

    /** A row's logits, in the scratch memory. */
    float[] logits(Selection selection, int from, int end, int row, Panel panel, Scratch scratch) {
        int size = WIDTH * pageSize;
        int[] sums = scratch.ints(size);
        float[] logits = scratch.floats(size + WIDTH);
        offsets(selection, from, end, row, panel.means, logits, size);
        kernels.signSums(panel.signs, panel.first, sketches.words(), size, selection.planes(), row * planes(), sums);
        kernels.scaleSums(
                sums, panel.factors, panel.from, selection.prepared()[row], logits, size, pageSize, WIDTH, logits);
        return logits;
    }

    /** The query's products with the pages' means; none where there is no page. */
    private void offsets(Selection selection, int from, int end, int row, float[] common, float[] offsets, int to) {
        int mean = selection.tile().kvHead() * headDim;
        if (common != null) {
            float offset = product(selection.queries(), row * headDim, common, mean);
            Arrays.fill(offsets, to, to + end - from, offset);
        } else {
            for (int e = from; e < end; e++) {
                offsets[to + e - from] = product(selection.queries(), row * headDim, means(selection, e), mean);
            }
        }
        Arrays.fill(offsets, to + end - from, to + WIDTH, Float.NEGATIVE_INFINITY);
    }

    private boolean areWhole(Selection selection, int from, int end) {
        int e = from;
        while (e < end && selection.tile().seesWhole(selection.list(), e, selection.position())) {
            e++;
        }
        return e == end;
    }

    /** Gives tokens that are not to be read no weight. */
    private void hideUnread(Selection selection, int from, int end, float[] logits) {
        for (int e = from; e < end; e++) {
            long mask = selection.tile().visible(selection.list(), e, selection.position());
            Attend.hide(logits, e - from, WIDTH, pageSize, mask);
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
}
