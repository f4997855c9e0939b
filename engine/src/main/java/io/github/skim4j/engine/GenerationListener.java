package io.github.skim4j.engine;

/**
 * Receives one generation's progress, in order, never two calls at a time, on a thread that is not the scheduler's: a slow
 * listener delays itself alone. Exactly one of {@link #onComplete} and {@link #onError} ends the calls. A throwing {@link
 * #onText} cancels the generation and its exception goes to {@link #onError}.
 */
public interface GenerationListener {

    /** A piece of text, never half a character; stop sequences and end-of-turn tokens are left out. */
    default void onText(String piece) {}

    /** The end, also after a cancel ({@link FinishReason#CANCELLED}, with the text so far). */
    default void onComplete(GenerationResult result) {}

    default void onError(Throwable error) {}
}
