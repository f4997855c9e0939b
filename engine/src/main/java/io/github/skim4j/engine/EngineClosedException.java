package io.github.skim4j.engine;

/** The engine was closed before or while it served the request. */
public class EngineClosedException extends SkimException {

    public EngineClosedException(String message) {
        super(message);
    }
}
