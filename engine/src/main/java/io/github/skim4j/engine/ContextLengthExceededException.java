package io.github.skim4j.engine;

/** A prompt with its answer does not fit the context length; the message names both and the limit that was hit. */
public class ContextLengthExceededException extends SkimException {

    public ContextLengthExceededException(String message) {
        super(message);
    }
}
