package io.github.skim4j.engine;

import java.util.concurrent.CompletableFuture;

/** A running generation. */
public interface Generation {

    /** Stops decoding at the next step and frees the pages; idempotent, and without effect on one that has ended. */
    void cancel();

    /** Completes with the result, also after a cancel, or exceptionally with what {@link GenerationListener#onError} got. */
    CompletableFuture<GenerationResult> result();
}
