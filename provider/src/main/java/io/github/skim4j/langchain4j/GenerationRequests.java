package io.github.skim4j.langchain4j;

import static dev.langchain4j.internal.Utils.getOrDefault;

import dev.langchain4j.exception.InvalidRequestException;
import dev.langchain4j.exception.ModelNotFoundException;
import dev.langchain4j.exception.UnsupportedFeatureException;
import dev.langchain4j.model.chat.request.ChatRequest;
import dev.langchain4j.model.chat.request.ChatRequestParameters;
import dev.langchain4j.model.chat.request.ResponseFormatType;
import dev.langchain4j.model.chat.request.ToolChoice;
import io.github.skim4j.engine.Engine;
import io.github.skim4j.engine.GenerationRequest;
import io.github.skim4j.engine.SamplingParameters;
import io.github.skim4j.engine.chat.ChatMessage;
import java.util.List;

/** LangChain4j's requests as the engine's. */
final class GenerationRequests {

    private GenerationRequests() {}

    /** @throws RuntimeException LangChain4j's or an {@link IllegalArgumentException}, if the request can't be served */
    static GenerationRequest from(ChatRequest request, Engine engine) {
        return from(
                ChatMessages.toEngine(request.messages()),
                SkimChatRequestParameters.from(request.parameters()),
                engine);
    }

    /** Checks the parameters that a model takes as its defaults before there is a request. */
    static void requireValid(SkimChatRequestParameters parameters, Engine engine) {
        from(List.of(ChatMessage.user("any")), parameters, engine);
    }

    private static GenerationRequest from(
            List<ChatMessage> messages, SkimChatRequestParameters parameters, Engine engine) {
        requireServed(parameters, engine);
        return GenerationRequest.chat(messages)
                .maxOutputTokens(getOrDefault(parameters.maxOutputTokens(), 0))
                .sampling(sampling(parameters, engine.defaultSampling()))
                .stopSequences(parameters.stopSequences())
                .attention(parameters.attention())
                .build();
    }

    private static void requireServed(ChatRequestParameters parameters, Engine engine) {
        if (parameters.toolChoice() != null && parameters.toolChoice() != ToolChoice.AUTO) {
            throw notSupported("ToolChoice." + parameters.toolChoice());
        }
        if (!parameters.toolSpecifications().isEmpty()) {
            throw notSupported("a request with tools");
        }
        if (parameters.responseFormat() != null && parameters.responseFormat().type() == ResponseFormatType.JSON) {
            throw notSupported("a JSON response format");
        }
        String modelName = parameters.modelName();
        if (modelName != null && !modelName.equals(engine.modelName())) {
            throw new ModelNotFoundException("modelName is '" + modelName + "', but the engine runs '"
                    + engine.modelName() + "': leave modelName out, or open an engine for that model");
        }
        Integer maxOutputTokens = parameters.maxOutputTokens();
        if (maxOutputTokens != null && maxOutputTokens < 1) {
            throw new InvalidRequestException("maxOutputTokens must be 1 or more, but is " + maxOutputTokens);
        }
    }

    private static SamplingParameters sampling(SkimChatRequestParameters parameters, SamplingParameters defaults) {
        return new SamplingParameters(
                getOrDefault(parameters.temperature(), defaults.temperature()),
                getOrDefault(parameters.topK(), defaults.topK()),
                getOrDefault(parameters.topP(), defaults.topP()),
                getOrDefault(parameters.minP(), defaults.minP()),
                getOrDefault(parameters.repetitionPenalty(), defaults.repetitionPenalty()),
                getOrDefault(parameters.frequencyPenalty(), defaults.frequencyPenalty()),
                getOrDefault(parameters.presencePenalty(), defaults.presencePenalty()),
                getOrDefault(parameters.seed(), defaults.seed()));
    }

    private static UnsupportedFeatureException notSupported(String what) {
        return new UnsupportedFeatureException(what + " is not supported yet by Skim");
    }
}
