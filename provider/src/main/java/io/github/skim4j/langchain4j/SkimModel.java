package io.github.skim4j.langchain4j;

import dev.langchain4j.model.ModelProvider;
import dev.langchain4j.model.chat.Capability;
import dev.langchain4j.model.chat.listener.ChatModelListener;
import java.util.List;
import java.util.Set;

/** What the blocking and the streaming model tell of themselves. */
abstract class SkimModel implements AutoCloseable {

    final ChatEngine engine;

    SkimModel(SkimModelBuilder<?, ?> builder) {
        engine = builder.open();
    }

    public SkimChatRequestParameters defaultRequestParameters() {
        return engine.defaults();
    }

    public List<ChatModelListener> listeners() {
        return engine.listeners();
    }

    public ModelProvider provider() {
        return ModelProvider.OTHER;
    }

    /** None yet. */
    public Set<Capability> supportedCapabilities() {
        return Set.of();
    }

    /** Closes the engine if the model opened it; idempotent. */
    @Override
    public void close() {
        engine.close();
    }
}
