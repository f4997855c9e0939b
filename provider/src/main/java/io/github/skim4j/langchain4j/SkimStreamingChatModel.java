package io.github.skim4j.langchain4j;

import dev.langchain4j.exception.LangChain4jException;
import dev.langchain4j.exception.UnsupportedFeatureException;
import dev.langchain4j.model.ModelProvider;
import dev.langchain4j.model.chat.Capability;
import dev.langchain4j.model.chat.StreamingChatModel;
import dev.langchain4j.model.chat.listener.ChatModelListener;
import dev.langchain4j.model.chat.request.ChatRequest;
import dev.langchain4j.model.chat.response.StreamingChatResponseHandler;
import dev.langchain4j.spi.ServiceHelper;
import io.github.skim4j.langchain4j.spi.SkimStreamingChatModelBuilderFactory;
import java.util.List;
import java.util.Set;

/** A model that runs in this process and hands over its answer piece by piece; safe for use by several threads. */
public class SkimStreamingChatModel implements StreamingChatModel, AutoCloseable {

    private final ChatEngine engine;

    protected SkimStreamingChatModel(Builder builder) {
        engine = builder.open();
    }

    public static Builder builder() {
        SkimStreamingChatModelBuilderFactory factory =
                ServiceHelper.loadFactory(SkimStreamingChatModelBuilderFactory.class);
        return factory == null ? new Builder() : factory.get();
    }

    /**
     * Returns at once; the handler is called on a thread of the engine. All failures go to its {@code onError}, save that a feature
     * that is not supported is refused right here.
     */
    @Override
    public void doChat(ChatRequest request, StreamingChatResponseHandler handler) {
        StreamingCall call = new StreamingCall(handler, engine);
        try {
            call.started(engine.generate(request, call));
        } catch (UnsupportedFeatureException e) {
            throw e;
        } catch (RuntimeException | Error e) {
            call.onError(e);
        }
    }

    @Override
    public SkimChatRequestParameters defaultRequestParameters() {
        return engine.defaults();
    }

    @Override
    public List<ChatModelListener> listeners() {
        return engine.listeners();
    }

    @Override
    public ModelProvider provider() {
        return ModelProvider.OTHER;
    }

    /** None yet. */
    @Override
    public Set<Capability> supportedCapabilities() {
        return Set.of();
    }

    /** Closes the engine if the model opened it; idempotent. */
    @Override
    public void close() {
        engine.close();
    }

    /** Collects settings. */
    public static class Builder extends SkimModelBuilder<Builder> {

        public Builder() {}

        @Override
        Builder self() {
            return this;
        }

        /**
         * @throws LangChain4jException if the engine can't be opened or does not do what the default parameters ask for
         * @throws IllegalArgumentException if a setting is missing or out of range
         */
        public SkimStreamingChatModel build() {
            return new SkimStreamingChatModel(this);
        }
    }
}
