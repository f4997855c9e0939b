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
        int head = tile.kvHead() * headDim;
        for (int e = from; e < end; e++) {
            int[] pairs = statistics.of(selection.list().page(e), tile.layer());
            if (statistics.score() == Score.BOUNDS) {
                kernels.bounds(selection.queries(), selection.rows(), headDim, pairs, head, scores, e, stride);
            } else {
                kernels.moments(selection.queries(), selection.rows(), headDim, pairs, head, scores, e, stride);
            }
        }
    }
}
