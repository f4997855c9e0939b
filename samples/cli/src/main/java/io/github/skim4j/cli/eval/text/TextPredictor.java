package io.github.skim4j.cli.eval.text;

import io.github.skim4j.engine.AttentionStats;
import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.attention.Dense;
import io.github.skim4j.engine.attention.EvictionMethod;
import io.github.skim4j.engine.backend.Backend;
import io.github.skim4j.engine.backend.Backend.SpanResult;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.decode.Eviction;
import io.github.skim4j.engine.kv.KvSequence;
import io.github.skim4j.engine.kv.PagePool;
import io.github.skim4j.engine.kv.PrefixCache;
import java.util.List;

/**
 * How well the last tokens of a text are predicted, each from all before it: the first tokens are attended densely, the last by a
 * method, one at a time. Methods share the pages of the dense part, unless they move what is in them.
 */
final class TextPredictor {

    /** Tokens in a step of the dense part. */
    static final int CHUNK = 512;

    private final Backend backend;
    private final PagePool pool;
    private final int pageSize;
    private final PrefixCache prefixes;

    TextPredictor(Backend backend, int pageSize) {
        this.backend = backend;
        this.pool = new PagePool(backend.pages());
        this.pageSize = pageSize;
        this.prefixes = new PrefixCache(pool, pageSize);
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
        boolean shares = !(method instanceof EvictionMethod evicting && evicting.packs());
        Eviction eviction = new Eviction(method, dense);
        try (KvSequence sequence = new KvSequence(pool, pageSize)) {
            if (shares) {
                prefixes.take(sequence, tokens, dense);
            }
            while (sequence.length() < dense) {
                int count = Math.min(CHUNK, dense - sequence.length());
                step(sequence, tokens, count, new Dense(), Span.Logits.NONE, eviction.observation());
            }
            if (shares) {
                prefixes.put(sequence, tokens, dense);
            }
            long start = System.nanoTime();
            double loss = 0;
            AttentionStats read = AttentionStats.NONE;
            for (int i = dense; i < tokens.length - 1; i++) {
                eviction.makeRoom(backend, sequence);
                SpanResult result = step(sequence, tokens, 1, method, Span.Logits.LAST, eviction.observation());
                loss += loss(result.logits()[0], tokens[i + 1]);
                read = read.plus(result.attention());
            }
            return new Prediction(loss / tail, System.nanoTime() - start, read);
        }
    }

    private SpanResult step(
            KvSequence sequence,
            int[] tokens,
            int count,
            AttentionMethod method,
            Span.Logits logits,
            Span.Observation observation) {
        if (!sequence.reserve(count)) {
            throw new IllegalStateException("the backend has " + pool.total() + " pages, too few for the text");
        }
        Span span = new Span(sequence, tokens, sequence.length(), count, method, logits, observation);
        SpanResult result = backend.forward(List.of(span)).get(0);
        sequence.advance(count);
        return result;
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
