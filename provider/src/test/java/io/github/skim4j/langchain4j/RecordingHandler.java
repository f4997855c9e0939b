package io.github.skim4j.langchain4j;

import dev.langchain4j.model.chat.response.ChatResponse;
import dev.langchain4j.model.chat.response.PartialResponse;
import dev.langchain4j.model.chat.response.PartialResponseContext;
import dev.langchain4j.model.chat.response.StreamingChatResponseHandler;
import dev.langchain4j.model.chat.response.StreamingHandle;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;

/** Keeps what it is handed; subclasses add what the test does with it. */
class RecordingHandler implements StreamingChatResponseHandler {

    private final List<String> pieces = new CopyOnWriteArrayList<>();
    private final List<Throwable> errors = new CopyOnWriteArrayList<>();
    private final List<Thread> threads = new CopyOnWriteArrayList<>();
    private final CompletableFuture<ChatResponse> response = new CompletableFuture<>();
    private final CompletableFuture<Throwable> firstError = new CompletableFuture<>();
    private volatile StreamingHandle handle;

    @Override
    public void onPartialResponse(PartialResponse partial, PartialResponseContext context) {
        threads.add(Thread.currentThread());
        pieces.add(partial.text());
        handle = context.streamingHandle();
        onPiece();
    }

    /** After each piece. */
    void onPiece() {}

    @Override
    public void onCompleteResponse(ChatResponse complete) {
        threads.add(Thread.currentThread());
        response.complete(complete);
    }

    @Override
    public void onError(Throwable error) {
        errors.add(error);
        firstError.complete(error);
    }

    List<String> pieces() {
        return pieces;
    }

    List<Throwable> errors() {
        return errors;
    }

    List<Thread> threads() {
        return threads;
    }

    StreamingHandle handle() {
        return handle;
    }

    boolean isComplete() {
        return response.isDone();
    }

    ChatResponse response() throws Exception {
        return response.get(30, TimeUnit.SECONDS);
    }

    Throwable error() throws Exception {
        return firstError.get(30, TimeUnit.SECONDS);
    }
}
