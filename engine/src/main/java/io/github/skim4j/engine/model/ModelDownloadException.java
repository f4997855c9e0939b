package io.github.skim4j.engine.model;

import io.github.skim4j.engine.SkimException;

/** A model is on the hub but could not be brought from there; the message names the file and what went wrong. */
public class ModelDownloadException extends SkimException {

    public ModelDownloadException(String message) {
        super(message);
    }

    public ModelDownloadException(String message, Throwable cause) {
        super(message, cause);
    }
}
