package io.github.skim4j.engine;

import io.github.skim4j.engine.chat.ChatMessage;
import io.github.skim4j.engine.decode.LocalEngine;
import io.github.skim4j.engine.tokenizer.Tokenizer;
import java.util.List;

/** A loaded model that generates text; safe for use by several threads. */
public interface Engine extends AutoCloseable {

    /**
     * Finds, checks and loads a model. Nothing stays open or allocated if it throws.
     *
     * @throws SkimException if the model or the device does not do; the message says what to change
     */
    static Engine open(EngineConfig config) {
        return LocalEngine.open(config);
    }

    /**
     * Queues a request and returns at once.
     *
     * @throws IllegalArgumentException if the request is empty or can't be rendered
     * @throws ContextLengthExceededException if the prompt leaves no room for an answer
     * @throws io.github.skim4j.engine.kv.KvCacheFullException if the whole pool is too small for the prompt
     * @throws QueueFullException if too many requests wait
     * @throws EngineClosedException if the engine is closed
     */
    Generation generate(GenerationRequest request, GenerationListener listener);

    /** Tokens of the prompt that {@code messages} render to, without the cue for the answer. */
    int countTokens(List<ChatMessage> messages);

    Tokenizer tokenizer();

    /** Name of the model: its folder, file or hub id. */
    String modelName();

    /** Most tokens of a prompt with its answer. */
    int contextLength();

    /** The model's own sampling settings, from its generation config; greedy if it has none. */
    SamplingParameters defaultSampling();

    EngineStats stats();

    /** Ends running requests with {@link EngineClosedException}, frees all memory; idempotent. */
    @Override
    void close();
}
