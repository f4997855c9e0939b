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
 * @param draw how to pick the token that {@link Logits#TOKEN} wants; {@code null} if none is wanted
 * @param observation what to remember for {@link Backend#evict}; {@code null} if that is never called for the sequence
 */
public record Span(
        KvSequence sequence,
        int[] tokens,
        int from,
        int count,
        AttentionMethod attention,
        Logits logits,
        TokenDraw draw,
        Observation observation) {

    public Span {
        if ((logits == Logits.TOKEN) != (draw != null)) {
            throw new IllegalArgumentException(
                    "a draw goes with Logits.TOKEN, but there is " + draw + " with " + logits);
        }
    }

    /** A span of a sequence of which the backend evicts nothing, and that wants no token or the likeliest. */
    public Span(KvSequence sequence, int[] tokens, int from, int count, AttentionMethod attention, Logits logits) {
        this(sequence, tokens, from, count, attention, logits, logits == Logits.TOKEN ? TokenDraw.GREEDY : null, null);
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
        /** The last one, but only the token that is drawn from them is wanted, which saves a device from sending them. */
        TOKEN,
        LAST,
        ALL
    }
}
