package io.github.skim4j.spring;

import io.github.skim4j.engine.SkimException;

/** No model is set, and the classpath does not hold exactly one that could be the default. */
public class NoModelException extends SkimException {

    public NoModelException(String message) {
        super(message);
    }
}
