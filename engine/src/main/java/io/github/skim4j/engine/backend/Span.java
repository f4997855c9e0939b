package io.github.skim4j.engine.backend;

import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.attention.EvictionMethod;
import io.github.skim4j.engine.kv.KvSequence;

/**
 * Consecutive tokens of one sequence in a step: a chunk of a prompt, or the token just decoded.
 *
 * @param sequence where keys and values go; token {@code i} has slot {@code sequence.slots() + i} and position {@code
 *     sequence.length() + i}
 * @param tokens token ids; the span is [{@code from}, {@code from + count})
 * @param attention method for these tokens; dense for a dense prefill
 * @param logits what is wanted
 * @param observation what to remember for {@link Backend#evict}; {@code null} if that is never called for the sequence
 */
public record Span(
        KvSequence sequence,
        int[] tokens,
        int from,
        int count,
        AttentionMethod attention,
        Logits logits,
        Observation observation) {

    /** A span of a sequence of which the backend evicts nothing. */
    public Span(KvSequence sequence, int[] tokens, int from, int count, AttentionMethod attention, Logits logits) {
        this(sequence, tokens, from, count, attention, logits, null);
    }

    /**
     * The attention that an evicting method decides by.
     *
     * @param from position of the first token whose attention counts
     * @param end position after the last
     */
    public record Observation(EvictionMethod method, int from, int end) {}

    /** Which tokens need logits. */
    public enum Logits {
        NONE,
        /** Of the last token the highest one's index alone, which saves a device from sending the others. */
        BEST,
        LAST,
        ALL
    }
}
