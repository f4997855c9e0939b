package io.github.skim4j.langchain4j;

import static dev.langchain4j.internal.InternalStreamingChatResponseHandlerUtils.onCompleteResponse;
import static dev.langchain4j.internal.InternalStreamingChatResponseHandlerUtils.onPartialResponse;
import static dev.langchain4j.internal.InternalStreamingChatResponseHandlerUtils.withLoggingExceptions;
import static java.util.concurrent.TimeUnit.NANOSECONDS;

import dev.langchain4j.exception.TimeoutException;
import dev.langchain4j.model.chat.response.StreamingChatResponseHandler;
import dev.langchain4j.model.chat.response.StreamingHandle;
import io.github.skim4j.engine.FinishReason;
import io.github.skim4j.engine.Generation;
import io.github.skim4j.engine.GenerationListener;
import io.github.skim4j.engine.GenerationResult;

/**
 * Passes one generation on to a handler. An exception of the handler goes to its own {@code onError} and the answer goes on, as
 * LangChain4j has it; an {@link Error} of the handler stops the decode. Nothing is passed on after {@link #cancel()}.
 */
final class StreamingCall implements GenerationListener, StreamingHandle {

    private final StreamingChatResponseHandler handler;
    private final ChatEngine engine;
    private volatile Generation generation;
    private volatile boolean cancelled;
    private volatile boolean timedOut;
    private Error handlerError;

    StreamingCall(StreamingChatResponseHandler handler, ChatEngine engine) {
        this.handler = handler;
        this.engine = engine;
    }

    /** Called once {@code generation} runs, which may be after its first pieces of text, and after {@link #cancel()}. */
    void started(Generation generation) {
        this.generation = generation;
        if (cancelled) {
            generation.cancel();
        }
        if (engine.timeout() != null) {
            generation
                    .result()
                    .copy()
                    .orTimeout(engine.timeout().toNanos(), NANOSECONDS)
                    .exceptionally(e -> {
                        // What the generation itself fails with arrives wrapped in a CompletionException.
                        if (e instanceof java.util.concurrent.TimeoutException) {
                            timedOut = true;
                            generation.cancel();
                        }
                        return null;
                    });
        }
    }

    @Override
    public void cancel() {
        cancelled = true;
        if (generation != null) {
            generation.cancel();
        }
    }

    @Override
    public boolean isCancelled() {
        return cancelled;
    }

    @Override
    public void onText(String piece) {
        if (cancelled) {
            return;
        }
        try {
            onPartialResponse(handler, piece, this);
        } catch (Error e) {
            handlerError = e;
            throw e;
        }
    }

    @Override
    public void onComplete(GenerationResult result) {
        if (cancelled) {
            return;
        }
        if (timedOut && result.finishReason() == FinishReason.CANCELLED) {
            onError(new TimeoutException("no complete answer within the timeout of " + engine.timeout()));
        } else {
            onCompleteResponse(handler, engine.response(result));
        }
    }

    @Override
    public void onError(Throwable error) {
        if (!cancelled) {
            withLoggingExceptions(() -> handler.onError(error == handlerError ? error : ExceptionMapping.map(error)));
        }
    }
}
