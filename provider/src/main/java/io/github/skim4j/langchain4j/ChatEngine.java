package io.github.skim4j.langchain4j;

import dev.langchain4j.model.chat.listener.ChatModelListener;
import dev.langchain4j.model.chat.request.ChatRequest;
import dev.langchain4j.model.chat.response.ChatResponse;
import io.github.skim4j.engine.Engine;
import io.github.skim4j.engine.EngineConfig;
import io.github.skim4j.engine.Generation;
import io.github.skim4j.engine.GenerationListener;
import io.github.skim4j.engine.GenerationResult;
import java.time.Duration;
import java.util.List;

/** What the blocking and the streaming model have in common: an engine and how LangChain4j's requests are put to it. */
final class ChatEngine implements AutoCloseable {

    private final Engine engine;
    private final boolean owned;
    private final SkimChatRequestParameters defaults;
    private final List<ChatModelListener> listeners;
    private final Duration timeout;

    /**
     * @param owned whether {@link #close()} closes the engine
     * @param timeout {@code null} for none
     */
    ChatEngine(
            Engine engine,
            boolean owned,
            SkimChatRequestParameters defaults,
            List<ChatModelListener> listeners,
            Duration timeout) {
        try {
            GenerationRequests.requireValid(defaults, engine);
        } catch (IllegalArgumentException e) {
            throw ExceptionMapping.map(e);
        }
        this.engine = engine;
        this.owned = owned;
        // Listeners read the model's name from the request, as with a provider that has to send it.
        this.defaults = SkimChatRequestParameters.builder()
                .modelName(engine.modelName())
                .build()
                .overrideWith(defaults);
        this.listeners = listeners;
        this.timeout = timeout;
    }

    static ChatEngine open(
            EngineConfig config,
            SkimChatRequestParameters defaults,
            List<ChatModelListener> listeners,
            Duration timeout) {
        Engine engine;
        try {
            engine = Engine.open(config);
        } catch (RuntimeException | Error e) {
            throw ExceptionMapping.map(e);
        }
        try {
            return new ChatEngine(engine, true, defaults, listeners, timeout);
        } catch (RuntimeException | Error e) {
            engine.close();
            throw e;
        }
    }

    SkimChatRequestParameters defaults() {
        return defaults;
    }

    List<ChatModelListener> listeners() {
        return listeners;
    }

    /** {@code null} for none. */
    Duration timeout() {
        return timeout;
    }

    Generation generate(ChatRequest request, GenerationListener listener) {
        return engine.generate(GenerationRequests.from(request, engine), listener);
    }

    ChatResponse response(GenerationResult result) {
        return ChatResponses.from(result, engine.modelName());
    }

    @Override
    public void close() {
        if (owned) {
            engine.close();
        }
    }
}
