package io.github.skim4j.engine.attention;

/**
 * How a decode step picks the keys and values that it reads. Methods are data: the stages that carry them out belong to the
 * backend.
 */
public sealed interface AttentionMethod permits Dense, StreamingLlm {

    /** Name in settings, such as {@code streaming-llm}. */
    String name();

    /** The method with its settings in the form that {@link #parse} reads, such as {@code streaming-llm:budget=1024,sinks=4}. */
    String spec();

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
