package io.github.skim4j.engine.decode;

import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.attention.EvictionMethod;
import io.github.skim4j.engine.attention.StreamingLlm;
import io.github.skim4j.engine.backend.Backend;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.kv.KvSequence;

/** The evict stage: when a sequence's method drops tokens, and how many. */
public final class Eviction {

    /** {@code null} if the method drops none. */
    private final EvictionMethod method;

    private final int denseUntil;
    private final int budget;

    /**
     * @param denseUntil position of the first token with {@code method}; those before it are attended densely
     */
    public Eviction(AttentionMethod method, int denseUntil) {
        this.method = method instanceof EvictionMethod evicting ? evicting : null;
        this.denseUntil = denseUntil;
        // A share is one of the dense part, so that what is kept does not grow.
        this.budget =
                this.method == null ? 0 : Math.max(this.method.budget().tokens(denseUntil), this.method.leastBudget());
    }

    /** What a span must observe; {@code null} if the backend evicts nothing. */
    public Span.Observation observation() {
        if (method == null || !method.packs()) {
            return null;
        }
        return new Span.Observation(
                method,
                Math.max(0, denseUntil - method.observedQueries()),
                method.evictsOnce() ? denseUntil : Integer.MAX_VALUE);
    }

    /**
     * Before a step with the method: drops tokens so that, with the step's one token, the sequence keeps to its budget. Their pages
     * return to the pool.
     */
    public void makeRoom(Backend backend, KvSequence sequence) {
        if (method instanceof StreamingLlm streaming) {
            int windowStart = sequence.length() + 1 - (budget - streaming.sinks());
            if (windowStart > Math.max(streaming.sinks(), sequence.windowStart())) {
                sequence.evict(streaming.sinks(), windowStart);
            }
        } else if (method != null) {
            int keep = method.evictsOnce() ? budget : budget - 1;
            boolean due = !method.evictsOnce() || sequence.length() == denseUntil;
            if (due && keep < sequence.slots()) {
                backend.evict(sequence, method, keep);
                sequence.pack(keep);
            }
        }
    }
}
