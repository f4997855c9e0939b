package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.backend.cpu.Selection.Scratch;

/** Scores the pages of a list for each query head; {@link RankPages} compares them. */
interface PageScorer {

    /** Pages that are scored at once at most. */
    int MOST_PAGES = 64;

    /** Whether scores are shares of a sum, or else relative to the head's largest. */
    boolean isShare();

    /** Bytes read of a page. */
    int bytes();

    /** Makes of the queries what it needs, in {@link Selection#prepared} and {@link Selection#tables}. */
    default void prepare(Selection selection) {}

    /**
     * Writes the scores of entries {@code from} to {@code end}, at most {@link #MOST_PAGES}.
     *
     * @param scores [rows][entries], {@code stride} apart
     * @param references for each row, {@code referenceStride} apart from {@code reference} on, what a share is relative to: a page's is {@code
     *     score * exp(reference)}
     */
    void score(
            Selection selection,
            int from,
            int end,
            float[] scores,
            int stride,
            float[] references,
            int reference,
            int referenceStride,
            Scratch scratch);
}
