package io.github.skim4j.engine;

/** What went wrong, in words for the person who runs the application; base of all exceptions that the engine defines. */
public class SkimException extends RuntimeException {

    public SkimException(String message) {
        super(message);
    }

    public SkimException(String message, Throwable cause) {
        super(message, cause);
    }
}
