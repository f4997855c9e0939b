package io.github.skim4j.langchain4j;

import dev.langchain4j.model.chat.listener.ChatModelErrorContext;
import dev.langchain4j.model.chat.listener.ChatModelListener;
import dev.langchain4j.model.chat.listener.ChatModelRequestContext;
import dev.langchain4j.model.chat.listener.ChatModelResponseContext;
import dev.langchain4j.model.chat.request.ChatRequest;
import dev.langchain4j.model.chat.response.ChatResponse;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;

/** Keeps what it is told. */
final class RecordingListener implements ChatModelListener {

    private final List<ChatRequest> requests = new CopyOnWriteArrayList<>();
    private final List<ChatResponse> responses = new CopyOnWriteArrayList<>();
    private final List<Throwable> errors = new CopyOnWriteArrayList<>();

    @Override
    public void onRequest(ChatModelRequestContext context) {
        requests.add(context.chatRequest());
    }

    @Override
    public void onResponse(ChatModelResponseContext context) {
        responses.add(context.chatResponse());
    }

    @Override
    public void onError(ChatModelErrorContext context) {
        errors.add(context.error());
    }

    List<ChatRequest> requests() {
        return requests;
    }

    List<ChatResponse> responses() {
        return responses;
    }

    List<Throwable> errors() {
        return errors;
    }
}
