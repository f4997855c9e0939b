package io.github.skim4j.engine.backend.cpu;

import static io.github.skim4j.engine.backend.cpu.PageStatistics.PANEL;

import io.github.skim4j.engine.attention.Quest.Score;
import io.github.skim4j.engine.backend.cpu.Selection.Scratch;
import io.github.skim4j.engine.model.ModelConfig;

/** Scores pages by {@link PageStatistics}; a page counts as much as the best of those that it has. */
record QuestScorer(ModelConfig config, SelectionKernels kernels, PageStatistics statistics) implements PageScorer {

    @Override
    public boolean isShare() {
        return false;
    }

    @Override
    public int bytes() {
        return statistics.bytes();
    }

    /**
     * What the halves of a pair are multiplied with. Of bounds the greatest value counts where the query's is positive, the least where it is
     * negative.
     */
    @Override
    public void prepare(Selection selection) {
        int size = Attend.even(selection.rows()) * config.headDim();
        float[] weights = selection.prepared(2 * size);
        boolean bounds = statistics.kind().score() == Score.BOUNDS;
        float unit = statistics.isFloat8() ? Float8.ROOT_OF_BIAS : 1;
        for (int i = 0; i < size; i++) {
            float q = selection.queries()[i];
            weights[i] = unit * (bounds ? Math.max(q, 0) : q);
            weights[size + i] = unit * (bounds ? Math.min(q, 0) : q * q);
        }
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
        int rows = Attend.even(selection.rows());
        TokenList list = selection.list();
        float[] panel = scratch.floats(rows * PANEL);
        int perPanel = statistics.panelPages();
        int scored = -1;
        int runEnd;
        for (int e = from; e < end; e = runEnd) {
            int page = list.page(e);
            if (page / perPanel != scored) {
                score(selection, page, panel);
                scored = page / perPanel;
            }
            int lane = statistics.lane(page);
            runEnd = e + 1;
            while (runEnd < end && runEnd - e < perPanel - lane && list.page(runEnd) == page + (runEnd - e)) {
                runEnd++;
            }
            for (int r = 0; r < selection.rows(); r++) {
                best(panel, r * PANEL + lane, scores, r * stride + e, runEnd - e);
            }
        }
    }

    /** The best of each of {@code pages}' statistics in a row of a panel. */
    private void best(float[] panel, int from, float[] scores, int to, int pages) {
        System.arraycopy(panel, from, scores, to, pages);
        int perPanel = statistics.panelPages();
        for (int at = from + perPanel; at < from + perPanel * statistics.perPage(); at += perPanel) {
            for (int i = 0; i < pages; i++) {
                scores[to + i] = Math.max(scores[to + i], panel[at + i]);
            }
        }
    }

    /** Scores all pages of a page's panel, [even rows][PANEL]. */
    private void score(Selection selection, int page, float[] panel) {
        float[] weights = selection.prepared();
        int rows = Attend.even(selection.rows());
        int[] stored = statistics.of(page, selection.tile().layer());
        int at = statistics.panel(page, selection.tile().kvHead());
        boolean root = statistics.kind().score() == Score.MOMENTS;
        if (statistics.isFloat8()) {
            kernels.statistics8(weights, rows, config.headDim(), stored, at, root, panel, 0, PANEL);
        } else {
            kernels.statistics(weights, rows, config.headDim(), stored, at, root, panel, 0, PANEL);
        }
    }
}
