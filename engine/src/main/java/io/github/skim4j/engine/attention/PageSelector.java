package io.github.skim4j.engine.attention;

/**
 * Ranks the pages of a sequence for each query and reads the best of them, one list for each KV head: a method of its own, and the
 * first stage of {@link Twilight} and {@link VAttention}.
 */
public sealed interface PageSelector extends AttentionMethod
        permits Quest, DoubleSparsity, Sketch, Oracle, RandomPages {

    /** Tokens read, those that are always read included. */
    Budget budget();

    Always always();

    /** The same selector with another budget. */
    PageSelector withBudget(Budget budget);

    @Override
    default PageSelector selector() {
        return this;
    }

    @Override
    default int denseLayers() {
        return always().denseLayers();
    }

    @Override
    default void requireFits(int pageSize) {
        int least = always().sinks() + always().recent() + pageSize;
        if (budget().isAbsolute() && budget().tokens(0) < least) {
            throw new IllegalArgumentException(name() + " budget must be at least " + least + " tokens ("
                    + always().sinks() + " sinks, " + always().recent() + " recent ones and a page of " + pageSize
                    + "), but is " + budget()
                    + ": raise attention.budget, or lower sinks, recent or kv-cache.page-size");
        }
    }
}
