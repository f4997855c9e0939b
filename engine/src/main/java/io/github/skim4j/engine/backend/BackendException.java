package io.github.skim4j.engine.backend;

import io.github.skim4j.engine.SkimException;

/** A device is not there or failed; the message says which and why. */
public class BackendException extends SkimException {

    public BackendException(String message) {
        super(message);
    }

    public BackendException(String message, Throwable cause) {
        super(message, cause);
    }
}
