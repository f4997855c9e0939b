package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.attention.Quest.Score;
import io.github.skim4j.engine.backend.cpu.Selection.Scratch;
import io.github.skim4j.engine.model.ModelConfig;

/** Scores pages by {@link PageStatistics}. */
record QuestScorer(ModelConfig config, SelectionKernels kernels, PageStatistics statistics) implements PageScorer {

    @Override
    public boolean isShare() {
        return false;
    }

    @Override
    public int bytes() {
        return statistics.bytes();
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
        int headDim = config.headDim();
        QueryTile tile = selection.tile();
        TokenList list = selection.list();
        int e = from;
        while (e < end) {
            int[] pairs = statistics.of(list.page(e), tile.layer());
            int at = statistics.offset(list.page(e), tile.kvHead());
            int pages = PageData.endOfRun(list, e, end) - e;
            if (statistics.kind().score() == Score.BOUNDS) {
                kernels.bounds(selection.queries(), selection.rows(), headDim, pairs, at, pages, scores, e, stride);
            } else {
                kernels.moments(selection.queries(), selection.rows(), headDim, pairs, at, pages, scores, e, stride);
            }
            e += pages;
        }
    }
}
