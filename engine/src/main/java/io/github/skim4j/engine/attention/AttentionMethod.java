package io.github.skim4j.engine.attention;

/**
 * How a decode step picks the keys and values that it reads. Methods are data: the stages that carry them out belong to the
 * backend.
 */
public sealed interface AttentionMethod permits Dense, EvictionMethod, PageSelector, Twilight, VAttention {

    /** Name in settings, such as {@code streaming-llm}. */
    String name();

    /** The method with its settings in the form that {@link #parse} reads, such as {@code streaming-llm:budget=1024,sinks=4}. */
    String spec();

    /** Layers from the first on that are attended densely whatever the method. */
    int denseLayers();

    /** What ranks pages for the method; {@code null} if nothing does. */
    default PageSelector selector() {
        return null;
    }

    /**
     * Checks the budgets that depend on the page size.
     *
     * @throws IllegalArgumentException if a budget has no room for the tokens that are always read and one page to choose
     */
    default void requireFits(int pageSize) {}

    /**
     * Reads {@code name} or {@code name:key=value,…}.
     *
     * @throws UnknownAttentionMethodException if there is no such method
     * @throws IllegalArgumentException if a key is unknown or a value out of range, with the way out in the message
     */
    static AttentionMethod parse(String spec) {
        return AttentionSpecs.parse(spec);
    }
}
