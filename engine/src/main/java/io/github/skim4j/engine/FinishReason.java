package io.github.skim4j.engine;

/** Why a generation ended. */
public enum FinishReason {
    /** The model ended its turn, or a stop sequence appeared. */
    STOP,
    /** The token limit or the end of the context was reached. */
    LENGTH,
    /** The caller cancelled. */
    CANCELLED
}
