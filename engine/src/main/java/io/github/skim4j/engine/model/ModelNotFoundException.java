package io.github.skim4j.engine.model;

import io.github.skim4j.engine.SkimException;

/** A model reference leads nowhere; the message names the reference and what would be found. */
public class ModelNotFoundException extends SkimException {

    public ModelNotFoundException(String message) {
        super(message);
    }

    public ModelNotFoundException(String message, Throwable cause) {
        super(message, cause);
    }
}
