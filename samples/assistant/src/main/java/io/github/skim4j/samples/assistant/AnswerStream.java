package io.github.skim4j.samples.assistant;

import dev.langchain4j.data.document.Document;
import dev.langchain4j.exception.LangChain4jException;
import dev.langchain4j.model.chat.response.ChatResponse;
import dev.langchain4j.model.chat.response.PartialResponse;
import dev.langchain4j.model.chat.response.PartialResponseContext;
import dev.langchain4j.rag.content.Content;
import dev.langchain4j.service.TokenStream;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.http.MediaType;
import org.springframework.web.servlet.mvc.method.annotation.SseEmitter;

/**
 * One answer on its way to one client, as server-sent events: {@code sources} once, {@code token} for each piece of text, then
 * {@code done} or {@code error}. A client that goes away stops the decode.
 */
final class AnswerStream {

    private static final Logger log = LoggerFactory.getLogger(AnswerStream.class);

    /** No timeout: the answer ends by itself, or with the client's connection. */
    private final SseEmitter emitter = new SseEmitter(0L);

    private volatile boolean clientGone;

    private AnswerStream() {
        emitter.onError(error -> clientGone = true);
    }

    static SseEmitter of(TokenStream tokens) {
        AnswerStream stream = new AnswerStream();
        tokens.onRetrieved(stream::sendSources)
                .onPartialResponseWithContext(stream::sendToken)
                .onCompleteResponse(stream::sendDone)
                .onError(stream::sendError);
        try {
            tokens.start();
        } catch (RuntimeException e) {
            stream.sendError(e);
        }
        return stream.emitter;
    }

    private void sendSources(List<Content> contents) {
        send(
                "sources",
                contents.stream()
                        .map(content -> content.textSegment().metadata().getString(Document.FILE_NAME))
                        .distinct()
                        .toList());
    }

    private void sendToken(PartialResponse piece, PartialResponseContext context) {
        send("token", Map.of("text", piece.text()));
        if (clientGone) {
            context.streamingHandle().cancel();
            log.debug("The client is gone, the answer was cancelled");
        }
    }

    private void sendDone(ChatResponse response) {
        send("done", AnswerFigures.of(response));
        emitter.complete();
    }

    private void sendError(Throwable error) {
        log.error("No answer", error);
        // Messages of LangChain4j's exceptions are written for users; others may hold internals.
        boolean readable = error instanceof LangChain4jException;
        send("error", Map.of("message", readable ? error.getMessage() : "Internal error, see the log."));
        emitter.complete();
    }

    private void send(String event, Object data) {
        if (clientGone) {
            return;
        }
        try {
            emitter.send(SseEmitter.event().name(event).data(data, MediaType.APPLICATION_JSON));
        } catch (IOException | IllegalStateException e) {
            clientGone = true;
        }
    }
}
