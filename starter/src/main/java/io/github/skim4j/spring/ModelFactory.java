package io.github.skim4j.spring;

import dev.langchain4j.model.chat.listener.ChatModelListener;
import io.github.skim4j.engine.Engine;
import io.github.skim4j.langchain4j.SkimChatModel;
import io.github.skim4j.langchain4j.SkimModelBuilder;
import io.github.skim4j.langchain4j.SkimStreamingChatModel;
import java.util.List;
import java.util.function.BiFunction;

/** Makes chat models of the properties. */
final class ModelFactory {

    private final SkimProperties.ChatModel properties;
    private final Engine engine;
    private final List<ChatModelListener> listeners;

    ModelFactory(SkimProperties.ChatModel properties, Engine engine, List<ChatModelListener> listeners) {
        this.properties = properties;
        this.engine = engine;
        this.listeners = listeners;
    }

    /** @throws InvalidSkimPropertyException naming a property whose value does not do */
    SkimChatModel chatModel() {
        return model(SkimChatModel.builder());
    }

    /** @throws InvalidSkimPropertyException naming a property whose value does not do */
    SkimStreamingChatModel streamingChatModel() {
        return model(SkimStreamingChatModel.builder());
    }

    private <B extends SkimModelBuilder<B, M>, M> M model(B builder) {
        builder.engine(engine).listeners(listeners);
        Settings<B> settings = new Settings<>(builder);
        settings.set("temperature", properties.getTemperature(), B::temperature);
        settings.set("top-k", properties.getTopK(), B::topK);
        settings.set("top-p", properties.getTopP(), B::topP);
        settings.set("min-p", properties.getMinP(), B::minP);
        settings.set("repetition-penalty", properties.getRepetitionPenalty(), B::repetitionPenalty);
        settings.set("frequency-penalty", properties.getFrequencyPenalty(), B::frequencyPenalty);
        settings.set("presence-penalty", properties.getPresencePenalty(), B::presencePenalty);
        settings.set("seed", properties.getSeed(), B::seed);
        settings.set("max-output-tokens", properties.getMaxOutputTokens(), B::maxOutputTokens);
        settings.set("stop-sequences", properties.getStopSequences(), B::stopSequences);
        settings.set("timeout", properties.getTimeout(), B::timeout);
        return builder.build();
    }

    /** Builds after each change, so that it is known which property is at fault. */
    private record Settings<B extends SkimModelBuilder<B, ?>>(B builder) {

        <V> void set(String property, V value, BiFunction<B, V, B> change) {
            InvalidSkimPropertyException.apply("chat-model." + property, value, builder, (b, v) -> {
                change.apply(b, v).build();
                return b;
            });
        }
    }
}
