package io.github.skim4j.langchain4j;

import static java.util.Objects.requireNonNull;

import dev.langchain4j.exception.LangChain4jException;
import dev.langchain4j.model.chat.listener.ChatModelListener;
import dev.langchain4j.model.chat.request.ChatRequestParameters;
import io.github.skim4j.engine.Engine;
import io.github.skim4j.engine.EngineConfig;
import io.github.skim4j.engine.attention.AttentionMethod;
import java.time.Duration;
import java.util.List;

/**
 * The settings of both models. Exactly one of {@link #engine}, {@link #engineConfig} and {@link #model} must be set; all others
 * are optional, and parameters that are not set come from the model's own generation config.
 *
 * @param <B> the concrete builder
 * @param <M> the model
 */
public abstract class SkimModelBuilder<B extends SkimModelBuilder<B, M>, M> {

    private Engine engine;
    private EngineConfig engineConfig;
    private ChatRequestParameters defaults = SkimChatRequestParameters.EMPTY;
    private final SkimChatRequestParameters.Builder overrides = SkimChatRequestParameters.builder();
    private List<ChatModelListener> listeners = List.of();
    private Duration timeout;

    SkimModelBuilder() {}

    abstract B self();

    /**
     * @throws LangChain4jException if the engine can't be opened or does not do what the default parameters ask for
     * @throws IllegalArgumentException if a setting is missing or out of range
     */
    public abstract M build();

    /** An open engine, which several models may share; closing the model leaves it open. */
    public B engine(Engine engine) {
        this.engine = engine;
        return self();
    }

    /** Settings of an engine that the model opens for itself and closes with {@code close()}. */
    public B engineConfig(EngineConfig engineConfig) {
        this.engineConfig = engineConfig;
        return self();
    }

    /** Short for {@link #engineConfig} with all other settings at their defaults: a path, {@code classpath:…} or a hub id. */
    public B model(String model) {
        return engineConfig(EngineConfig.builder(model).build());
    }

    /** Parameters of requests that set none of their own; the single setters below override them. */
    public B defaultRequestParameters(ChatRequestParameters parameters) {
        defaults = requireNonNull(parameters, "defaultRequestParameters");
        return self();
    }

    /** 0 always takes the most probable token. */
    public B temperature(Double temperature) {
        overrides.temperature(temperature);
        return self();
    }

    /** Draws from the fewest tokens whose probabilities reach this sum; 1 is off. */
    public B topP(Double topP) {
        overrides.topP(topP);
        return self();
    }

    /** Draws from this many most probable tokens; 0 is off. */
    public B topK(Integer topK) {
        overrides.topK(topK);
        return self();
    }

    /** See {@link SkimChatRequestParameters#minP()}. */
    public B minP(Double minP) {
        overrides.minP(minP);
        return self();
    }

    /** See {@link SkimChatRequestParameters#repetitionPenalty()}. */
    public B repetitionPenalty(Double repetitionPenalty) {
        overrides.repetitionPenalty(repetitionPenalty);
        return self();
    }

    /** Subtracted from a token's logit for each time that it stands in the answer. */
    public B frequencyPenalty(Double frequencyPenalty) {
        overrides.frequencyPenalty(frequencyPenalty);
        return self();
    }

    /** Subtracted once from the logit of each token in the answer. */
    public B presencePenalty(Double presencePenalty) {
        overrides.presencePenalty(presencePenalty);
        return self();
    }

    /** See {@link SkimChatRequestParameters#seed()}. */
    public B seed(Long seed) {
        overrides.seed(seed);
        return self();
    }

    /** Most tokens of an answer; as the context length allows if not set. */
    public B maxOutputTokens(Integer maxOutputTokens) {
        overrides.maxOutputTokens(maxOutputTokens);
        return self();
    }

    /** Texts that end an answer and are left out of it. */
    public B stopSequences(List<String> stopSequences) {
        overrides.stopSequences(stopSequences);
        return self();
    }

    /** Attention method of requests that choose none; the engine's if not set. */
    public B attention(AttentionMethod attention) {
        overrides.attention(attention);
        return self();
    }

    /** Short for {@link #attention(AttentionMethod)} with a method as {@link AttentionMethod#parse} reads it. */
    public B attention(String spec) {
        overrides.attention(spec);
        return self();
    }

    /** Told of each request, response and error. */
    public B listeners(List<ChatModelListener> listeners) {
        this.listeners = List.copyOf(listeners);
        return self();
    }

    /** Longest time from a request to its complete answer, the queue included; no limit if not set. */
    public B timeout(Duration timeout) {
        this.timeout = timeout;
        return self();
    }

    /** Checks the settings and opens the engine if it is to be the model's own. */
    ChatEngine open() {
        if ((engine == null) == (engineConfig == null)) {
            throw new IllegalArgumentException("set exactly one of engine, engineConfig and model, but "
                    + (engine == null ? "none is set" : "both an engine and the settings of another are set"));
        }
        if (timeout != null && (timeout.isNegative() || timeout.isZero())) {
            throw new IllegalArgumentException("timeout must be above zero, but is " + timeout);
        }
        SkimChatRequestParameters parameters =
                SkimChatRequestParameters.from(defaults).overrideWith(overrides.build());
        if (engine != null) {
            return new ChatEngine(engine, false, parameters, listeners, timeout);
        }
        return ChatEngine.open(engineConfig, parameters, listeners, timeout);
    }
}
