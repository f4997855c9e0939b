package io.github.skim4j.langchain4j;

import dev.langchain4j.exception.UnsupportedFeatureException;
import dev.langchain4j.model.chat.StreamingChatModel;
import dev.langchain4j.model.chat.request.ChatRequest;
import dev.langchain4j.model.chat.response.StreamingChatResponseHandler;
import dev.langchain4j.spi.ServiceHelper;
import io.github.skim4j.langchain4j.spi.SkimStreamingChatModelBuilderFactory;

/** A model that runs in this process and hands over its answer piece by piece; safe for use by several threads. */
public class SkimStreamingChatModel extends SkimModel implements StreamingChatModel {

    protected SkimStreamingChatModel(Builder builder) {
        super(builder);
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

    /** Collects settings. */
    public static class Builder extends SkimModelBuilder<Builder, SkimStreamingChatModel> {

        public Builder() {}

        @Override
        Builder self() {
            return this;
        }

        @Override
        public SkimStreamingChatModel build() {
            return new SkimStreamingChatModel(this);
        }
    }
}
