package io.github.skim4j.engine.backend;

import io.github.skim4j.engine.AttentionStats;
import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.attention.EvictionMethod;
import io.github.skim4j.engine.kv.KvSequence;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/**
 * A loaded model with the storage of its KV pages on one device. Used by one thread, the scheduler's.
 */
public interface Backend extends AutoCloseable {

    /** The device in words, such as {@code CPU, 2 threads, 256-bit vectors}. */
    String device();

    /** KV pages there are; ids are 0 … pages - 1. */
    int pages();

    /**
     * Runs all layers over the spans' tokens, prefill and decode alike, writes their keys and values into each sequence's next slots
     * (which the caller has reserved and advances afterwards) and computes the logits or draws the tokens that the spans ask for.
     * A result for a span does not depend on the other spans.
     *
     * @return one entry a span, in order
     * @throws BackendException if the device failed; the backend is unusable from then on
     * @throws io.github.skim4j.engine.model.ModelFormatException if weights can't be read, likewise
     */
    List<SpanResult> forward(List<Span> spans);

    /**
     * Chooses for each layer and KV head the {@code keep} tokens of a sequence that a method keeps, by the attention that the
     * sequence's spans asked to observe, and moves them into its first slots. The caller drops the slots behind them with {@link
     * KvSequence#pack}.
     *
     * @param keep fewer than {@code sequence.slots()}
     */
    void evict(KvSequence sequence, EvictionMethod method, int keep);

    /**
     * @throws IllegalArgumentException if the method can't be used with this model or device, with the way out; by any thread
     */
    default void requireSupports(AttentionMethod method) {}

    /**
     * Fewest tokens of a sequence, alone in its batch, for which a method is faster than dense attention here; 0 if that is not what
     * the method is for, or not known.
     */
    default int leastContext(AttentionMethod method) {
        return 0;
    }

    /**
     * Runs a span as {@link #forward} does and measures how much each dimension of the heads contributes to the logits: the mean of
     * |query|, over tokens and the query heads of a KV head, times the mean of |key| (Double Sparsity, arXiv 2408.07092, section 3.1).
     *
     * @return [layer][kvHead][headDim]
     * @throws BackendException if this kind of device can't
     */
    default float[][][] channelWeights(Span span) {
        throw new BackendException(device() + " can't measure channels: calibrate on the CPU");
    }

    /**
     * Completes when all weights are in memory and nobody reads those that {@link BackendProvider#open} was given any more, or exceptionally if that
     * failed. A step waits for the weights that it needs, and throws what the failure was. Cancelling this, by any thread, ends the loading;
     * a step that needs what is missing then throws {@link java.util.concurrent.CancellationException}.
     */
    default CompletableFuture<Void> loaded() {
        return CompletableFuture.completedFuture(null);
    }

    /** Frees device, weights and pages; idempotent. */
    @Override
    void close();

    /**
     * @param logits [rows][vocabSize]: no row, one, or one for each token, as the span asked
     * @param token what was drawn if the span asked for {@link Span.Logits#TOKEN}; -1 if not, or if no logit is finite
     * @param attention what attention read, if the span's method is not dense
     */
    record SpanResult(float[][] logits, int token, AttentionStats attention) {}
}
