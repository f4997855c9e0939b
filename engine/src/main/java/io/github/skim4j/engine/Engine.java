package io.github.skim4j.engine;

import io.github.skim4j.engine.chat.ChatMessage;
import io.github.skim4j.engine.decode.LocalEngine;
import io.github.skim4j.engine.tokenizer.Tokenizer;
import java.util.List;

/** A loaded model that generates text; safe for use by several threads. */
public interface Engine extends AutoCloseable {

    /**
     * Finds and checks a model and begins to load it. Nothing stays open or allocated if it throws.
     *
     * <p>On a CPU weights are loaded after this has returned; the model's chat template and vocabulary are read meanwhile, too. Whoever needs something that
     * isn't there yet waits for it, and gets the exception if it can't be had: a file that has become shorter, a template that can't be parsed, a
     * vocabulary that no tokenizer can have. All else that can be wrong with a model shows here.
     *
     * @throws SkimException if the model or the device does not do; the message says what to change
     * @throws io.github.skim4j.engine.chat.ChatTemplateException if the chat template of {@code config} can't be parsed
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
     * @throws io.github.skim4j.engine.chat.ChatTemplateException if the model's chat template is missing or at fault
     * @throws io.github.skim4j.engine.model.ModelFormatException if the model's vocabulary can't be used
     */
    Generation generate(GenerationRequest request, GenerationListener listener);

    /**
     * Tokens of the prompt that {@code messages} render to, without the cue for the answer.
     *
     * @throws IllegalArgumentException if the template refuses the messages
     * @throws io.github.skim4j.engine.chat.ChatTemplateException if the model's chat template is missing or at fault
     * @throws io.github.skim4j.engine.model.ModelFormatException if the model's vocabulary can't be used
     */
    int countTokens(List<ChatMessage> messages);

    /** @throws io.github.skim4j.engine.model.ModelFormatException if the model's vocabulary can't be used */
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
