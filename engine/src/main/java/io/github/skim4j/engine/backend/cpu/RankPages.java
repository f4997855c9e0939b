package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.backend.cpu.Selection.Scratch;

/**
 * Keeps the pages of the best scores, one list for a query group: a page counts as much as it does to the head that it means most to,
 * whose scores are relative to its best page, or to the sum over its pages.
 */
final class RankPages implements Selection.Stage {

    /** Pages that are scored in one part. */
    private static final int CHUNK = 64;

    /** How many pages to keep. */
    interface Limit {
        int pages(Selection selection);
    }

    private final PageScorer scorer;
    private final Limit limit;

    RankPages(PageScorer scorer, Limit limit) {
        this.scorer = scorer;
        this.limit = limit;
    }

    @Override
    public int begin(Selection selection) {
        int entries = selection.list().size();
        if (limit.pages(selection) >= entries) {
            return SKIP;
        }
        int parts = parts(entries);
        selection.scores(selection.rows() * entries);
        selection.references(selection.rows() * parts);
        scorer.prepare(selection);
        selection.addBytes((long) scorer.bytes() * (entries - 1));
        return parts;
    }

    /** The last entry is the page being filled, which has no score. */
    private static int parts(int entries) {
        return (entries - 1 + CHUNK - 1) / CHUNK;
    }

    @Override
    public void part(Selection selection, int part, Scratch scratch) {
        int entries = selection.list().size();
        int end = Math.min(entries - 1, (part + 1) * CHUNK);
        int parts = parts(entries);
        scorer.score(
                selection,
                part * CHUNK,
                end,
                selection.scores(),
                entries,
                selection.references(),
                part,
                parts,
                scratch);
    }

    @Override
    public void end(Selection selection, Scratch scratch) {
        int entries = selection.list().size();
        float[] scores = selection.scores();
        for (int r = 0; r < selection.rows(); r++) {
            if (scorer.isShare()) {
                toShares(scores, r * entries, entries - 1, selection.references(), r * parts(entries));
            } else {
                toDistances(scores, r * entries, entries - 1);
            }
            for (int e = 0; r > 0 && e < entries - 1; e++) {
                scores[e] = Math.max(scores[e], scores[r * entries + e]);
            }
        }
        keep(selection, limit.pages(selection), scratch);
    }

    private static void toShares(float[] scores, int from, int count, float[] references, int reference) {
        int parts = (count + CHUNK - 1) / CHUNK;
        float max = Float.NEGATIVE_INFINITY;
        for (int p = 0; p < parts; p++) {
            max = Math.max(max, references[reference + p]);
        }
        float total = 0;
        for (int p = 0; p < parts; p++) {
            float factor = Exp.exp(references[reference + p] - max);
            for (int e = from + p * CHUNK; e < from + Math.min(count, (p + 1) * CHUNK); e++) {
                scores[e] *= factor;
                total += scores[e];
            }
        }
        for (int e = from; e < from + count; e++) {
            scores[e] /= total;
        }
    }

    private static void toDistances(float[] scores, int from, int count) {
        float max = Float.NEGATIVE_INFINITY;
        for (int e = from; e < from + count; e++) {
            max = Math.max(max, scores[e]);
        }
        for (int e = from; e < from + count; e++) {
            scores[e] -= max;
        }
    }

    /** Keeps forced pages and the best others, in their order; of equal ones the first. */
    private static void keep(Selection selection, int pages, Scratch scratch) {
        TokenList list = selection.list();
        int entries = list.size();
        float[] candidates = scratch.floats(entries);
        int count = 0;
        for (int e = 0; e < entries; e++) {
            if (!selection.isForced(e)) {
                candidates[count++] = selection.scores()[e];
            }
        }
        int wanted = Math.max(1, pages - (entries - count));
        if (wanted >= count) {
            return;
        }
        float threshold = Ranks.largest(candidates, count, wanted);
        int equal = wanted;
        for (int i = 0; i < count; i++) {
            equal -= candidates[i] > threshold ? 1 : 0;
        }
        int kept = 0;
        for (int e = 0; e < entries; e++) {
            float score = selection.scores()[e];
            if (selection.isForced(e) || score > threshold || score == threshold && equal-- > 0) {
                list.move(e, kept++, list.mask(e));
            }
        }
        list.truncate(kept);
    }
}
