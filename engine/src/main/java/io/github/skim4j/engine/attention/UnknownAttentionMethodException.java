package io.github.skim4j.engine.attention;

/** There is no attention method of that name; the message lists those there are. */
public class UnknownAttentionMethodException extends IllegalArgumentException {

    public UnknownAttentionMethodException(String name) {
        super("no attention method is called '" + name + "'; there are: " + String.join(", ", AttentionSpecs.names()));
    }
}
