package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.backend.CounterRandom;
import io.github.skim4j.engine.backend.cpu.Selection.Scratch;

/** Scores that mean nothing. */
record RandomScorer(long seed) implements PageScorer {

    @Override
    public boolean isShare() {
        return false;
    }

    @Override
    public int bytes() {
        return 0;
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
        // Apart from the numbers of a sample with the same seed.
        CounterRandom random = selection.tile().random(~seed);
        for (int e = from; e < end; e++) {
            float score = random.nextBelow(e, 1 << 24);
            for (int r = 0; r < selection.rows(); r++) {
                scores[r * stride + e] = score;
            }
        }
    }
}
