package io.github.skim4j.engine.model;

import io.github.skim4j.engine.SkimException;

/** A model file is damaged, truncated or of a kind that the engine can't run; the message names file and field. */
public class ModelFormatException extends SkimException {

    public ModelFormatException(String message) {
        super(message);
    }

    public ModelFormatException(String message, Throwable cause) {
        super(message, cause);
    }
}
