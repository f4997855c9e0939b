package io.github.skim4j.engine.decode;

import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.attention.StreamingLlm;
import io.github.skim4j.engine.kv.KvSequence;

/** The evict stage of one sequence: drops slots that its method does not keep. */
public final class Eviction {

    private final StreamingLlm method;
    private int budget;

    public Eviction(AttentionMethod method) {
        this.method = method instanceof StreamingLlm streaming ? streaming : null;
    }

    /** Drops slots so that, with one more token, the sequence keeps to its budget. */
    public void makeRoom(KvSequence sequence) {
        if (method == null) {
            return;
        }
        if (budget == 0) {
            // A share is one of the sequence as it is when eviction sets in, so that the kept part does not grow.
            budget = Math.max(method.budget().tokens(sequence.length()), method.sinks() + 1);
        }
        int windowStart = sequence.length() + 1 - (budget - method.sinks());
        if (windowStart > Math.max(method.sinks(), sequence.windowStart())) {
            sequence.evict(method.sinks(), windowStart);
        }
    }
}
