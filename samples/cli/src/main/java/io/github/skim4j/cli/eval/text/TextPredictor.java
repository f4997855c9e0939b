package io.github.skim4j.cli.eval.text;

import io.github.skim4j.cli.SequenceRun;
import io.github.skim4j.engine.AttentionStats;
import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.backend.Backend;
import io.github.skim4j.engine.backend.Backend.SpanResult;
import io.github.skim4j.engine.backend.Span;

/**
 * How well the last tokens of a text are predicted, each from all before it: the first tokens are attended densely, the last by a
 * method, one at a time. Methods share the pages of the dense part, unless they move what is in them.
 */
final class TextPredictor {

    private final SequenceRun.Pages pages;

    TextPredictor(Backend backend, int pageSize) {
        this.pages = new SequenceRun.Pages(backend, pageSize);
    }

    /**
     * @param loss mean negative log-likelihood of a predicted token, in nats
     * @param nanos of the predicted tokens' steps
     */
    record Prediction(double loss, long nanos, AttentionStats read) {}

    /** @param tail tokens to predict, fewer than there are less one */
    Prediction predict(int[] tokens, int tail, AttentionMethod method) {
        // The step of a token predicts the one after it.
        int dense = tokens.length - tail - 1;
        try (SequenceRun run = pages.run(method, tokens, dense)) {
            run.takeShared();
            run.prefill(Span.Logits.NONE);
            long start = System.nanoTime();
            double loss = 0;
            AttentionStats read = AttentionStats.NONE;
            for (int i = dense; i < tokens.length - 1; i++) {
                SpanResult result = run.next(Span.Logits.LAST);
                loss += loss(result.logits()[0], tokens[i + 1]);
                read = read.plus(result.attention());
            }
            return new Prediction(loss / tail, System.nanoTime() - start, read);
        }
    }

    /** Negative log of the probability that softmax gives to {@code target}. */
    static double loss(float[] logits, int target) {
        float max = Float.NEGATIVE_INFINITY;
        for (float logit : logits) {
            max = Math.max(max, logit);
        }
        double sum = 0;
        for (float logit : logits) {
            sum += Math.exp(logit - max);
        }
        return max + Math.log(sum) - logits[target];
    }
}
