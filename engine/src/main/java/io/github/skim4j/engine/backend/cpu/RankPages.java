package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.backend.cpu.Selection.Scratch;
import java.util.Arrays;

/**
 * Keeps the pages of the best scores, one list for a query group: a page counts as much as it does to the head that it means most to,
 * whose scores are relative to its best page, or to the sum over its pages.
 */
final class RankPages implements Selection.Stage {

    /** Pages that are scored in one part; scores of a row begin at a multiple of it. */
    private static final int CHUNK = PageScorer.MOST_PAGES;

    /** How many pages to keep. */
    interface Limit {
        int pages(Selection selection);
    }

    private final PageScorer scorer;
    private final CpuKernels kernels;
    private final Limit limit;

    RankPages(PageScorer scorer, CpuKernels kernels, Limit limit) {
        this.scorer = scorer;
        this.kernels = kernels;
        this.limit = limit;
    }

    @Override
    public int begin(Selection selection) {
        int entries = selection.list().size();
        if (limit.pages(selection) >= entries) {
            return SKIP;
        }
        int parts = parts(entries);
        selection.scores(selection.rows() * parts * CHUNK);
        selection.references(2 * selection.rows() * parts);
        scorer.prepare(selection);
        selection.addBytes((long) scorer.bytes() * (entries - 1));
        return parts;
    }

    /** The last entry is the page being filled, which has no score. */
    private static int parts(int entries) {
        return (entries - 1 + CHUNK - 1) / CHUNK;
    }

    /** Leaves for each row and part the reference of shares or the greatest score, and behind all of these the sum of the scores. */
    @Override
    public void part(Selection selection, int part, Scratch scratch) {
        int entries = selection.list().size();
        int parts = parts(entries);
        int from = part * CHUNK;
        int end = Math.min(entries - 1, from + CHUNK);
        float[] scores = selection.scores();
        float[] references = selection.references();
        scorer.score(selection, from, end, scores, parts * CHUNK, references, part, parts, scratch);
        for (int r = 0; r < selection.rows(); r++) {
            int at = r * parts * CHUNK + from;
            int reference = r * parts + part;
            if (scorer.isShare()) {
                references[selection.rows() * parts + reference] = sum(scores, at, end - from);
            } else {
                Arrays.fill(scores, at + end - from, at + CHUNK, Float.NEGATIVE_INFINITY);
                references[reference] = kernels.attention().max(scores, at, CHUNK);
            }
        }
    }

    /** In four sums, which do not wait for each other. */
    private static float sum(float[] values, int from, int count) {
        float a = 0;
        float b = 0;
        float c = 0;
        float d = 0;
        int i = from;
        for (; i + 4 <= from + count; i += 4) {
            a += values[i];
            b += values[i + 1];
            c += values[i + 2];
            d += values[i + 3];
        }
        for (; i < from + count; i++) {
            a += values[i];
        }
        return a + b + (c + d);
    }

    @Override
    public void end(Selection selection, Scratch scratch) {
        int rows = selection.rows();
        int parts = parts(selection.list().size());
        float[] references = selection.references();
        for (int r = 0; r < rows; r++) {
            if (scorer.isShare()) {
                toShares(references, r * parts, rows * parts + r * parts, parts);
            } else {
                toDistances(references, r * parts, rows * parts + r * parts, parts);
            }
        }
        for (int p = 0; p < parts; p++) {
            kernels.selection()
                    .mergeRows(
                            selection.scores(),
                            p * CHUNK,
                            parts * CHUNK,
                            rows,
                            CHUNK,
                            references,
                            p,
                            rows * parts + p,
                            parts);
        }
        keep(selection, limit.pages(selection), scratch);
    }

    /** Makes of a row's references factors, and of the sums addends, that turn its scores into shares. */
    private static void toShares(float[] references, int factors, int addends, int parts) {
        float max = greatest(references, factors, parts);
        float total = 0;
        for (int p = 0; p < parts; p++) {
            references[factors + p] = Exp.exp(references[factors + p] - max);
            total += references[factors + p] * references[addends + p];
        }
        for (int p = 0; p < parts; p++) {
            references[factors + p] /= total;
            references[addends + p] = 0;
        }
    }

    /** The same for distances to the greatest score. */
    private static void toDistances(float[] references, int factors, int addends, int parts) {
        float max = greatest(references, factors, parts);
        Arrays.fill(references, factors, factors + parts, 1);
        Arrays.fill(references, addends, addends + parts, -max);
    }

    private static float greatest(float[] values, int from, int count) {
        float max = Float.NEGATIVE_INFINITY;
        for (int i = from; i < from + count; i++) {
            max = Math.max(max, values[i]);
        }
        return max;
    }

    /** Keeps forced pages and the best others, in their order; of equal ones the first. */
    private static void keep(Selection selection, int pages, Scratch scratch) {
        TokenList all = selection.list();
        int entries = all.size();
        int first = selection.forcedFirst();
        int last = Math.max(first, selection.forcedLast());
        int wanted = Math.max(1, pages - (entries - (last - first)));
        if (wanted >= last - first) {
            return;
        }
        float[] scores = selection.scores();
        float[] candidates = scratch.floats(last - first);
        System.arraycopy(scores, first, candidates, 0, last - first);
        float threshold = Ranks.largest(candidates, last - first, wanted);
        int[] best = scratch.ints(last - first);
        int count = 0;
        // No branch that the processor could not foresee.
        for (int e = first; e < last; e++) {
            best[count] = e;
            count += scores[e] >= threshold ? 1 : 0;
        }
        int equal = wanted;
        for (int i = 0; i < count; i++) {
            equal -= scores[best[i]] > threshold ? 1 : 0;
        }
        TokenList kept = selection.beginList();
        kept.add(all, 0, first);
        for (int i = 0; i < count; i++) {
            if (scores[best[i]] > threshold || equal-- > 0) {
                kept.add(all, best[i], best[i] + 1);
            }
        }
        kept.add(all, last, entries);
    }
}
