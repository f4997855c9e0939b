package io.github.skim4j.engine.attention;

/** Drops keys and values for good, so that a sequence never holds more than its budget; pages return to the pool. */
public sealed interface EvictionMethod extends AttentionMethod permits StreamingLlm, H2o, Tova, SnapKv {

    /** Tokens kept. */
    Budget budget();

    /** Eviction is by layer and head, but every layer must keep the same number of tokens for pages to become free. */
    @Override
    default int denseLayers() {
        return 0;
    }
}
