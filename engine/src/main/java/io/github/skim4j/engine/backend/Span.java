package io.github.skim4j.engine.backend;

import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.kv.KvSequence;

/**
 * Consecutive tokens of one sequence in a step: a chunk of a prompt, or the token just decoded.
 *
 * @param sequence where keys and values go; token {@code i} has slot and position {@code sequence.length() + i}
 * @param tokens token ids; the span is [{@code from}, {@code from + count})
 * @param attention method for these tokens; dense for a dense prefill
 * @param logits rows wanted
 */
public record Span(KvSequence sequence, int[] tokens, int from, int count, AttentionMethod attention, Logits logits) {

    /** Which tokens need logits. */
    public enum Logits {
        NONE,
        LAST,
        ALL
    }
}
