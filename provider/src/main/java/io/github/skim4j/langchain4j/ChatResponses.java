package io.github.skim4j.langchain4j;

import dev.langchain4j.data.message.AiMessage;
import dev.langchain4j.model.chat.response.ChatResponse;
import dev.langchain4j.model.output.FinishReason;
import dev.langchain4j.model.output.TokenUsage;
import io.github.skim4j.engine.GenerationResult;
import java.util.UUID;

/** The engine's results as LangChain4j's responses. */
final class ChatResponses {

    private ChatResponses() {}

    static ChatResponse from(GenerationResult result, String modelName) {
        return ChatResponse.builder()
                .aiMessage(AiMessage.from(result.text()))
                .metadata(SkimChatResponseMetadata.builder()
                        .id(UUID.randomUUID().toString())
                        .modelName(modelName)
                        .tokenUsage(new TokenUsage(result.promptTokens(), result.generatedTokens()))
                        .finishReason(finishReason(result))
                        .cachedTokens(result.cachedTokens())
                        .timeToFirstToken(result.timeToFirstToken())
                        .tokensPerSecond(result.tokensPerSecond())
                        .attention(result.attention())
                        .build())
                .build();
    }

    private static FinishReason finishReason(GenerationResult result) {
        return switch (result.finishReason()) {
            case STOP -> FinishReason.STOP;
            case LENGTH -> FinishReason.LENGTH;
            case CANCELLED -> FinishReason.OTHER;
        };
    }
}
