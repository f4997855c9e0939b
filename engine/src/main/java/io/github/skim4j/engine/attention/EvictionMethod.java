package io.github.skim4j.engine.attention;

/** Drops keys and values for good, so that a sequence never holds more than its budget; pages return to the pool. */
public sealed interface EvictionMethod extends AttentionMethod permits StreamingLlm, H2o, Tova, SnapKv {

    /** Tokens kept. */
    Budget budget();

    /** Fewest tokens that the method can keep; a share of a short sequence that comes to less is raised to it. */
    int leastBudget();

    /**
     * How many of the last queries of the dense prefill decide, by what they attend to, which tokens are kept; 0 if the method does
     * not look at attention.
     */
    int observedQueries();

    /**
     * Whether each KV head keeps tokens of its own, which are moved to the front of the sequence's pages: no other sequence may share
     * these then.
     */
    default boolean packs() {
        return true;
    }

    /** Whether tokens are dropped only when the dense prefill ends, rather than before each step from then on. */
    default boolean evictsOnce() {
        return false;
    }

    /** Eviction is by layer and head, but every layer must keep the same number of tokens for pages to become free. */
    @Override
    default int denseLayers() {
        return 0;
    }
}
