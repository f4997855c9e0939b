package io.github.skim4j.samples.assistant;

import dev.langchain4j.model.chat.response.ChatResponse;
import dev.langchain4j.model.output.FinishReason;
import io.github.skim4j.langchain4j.SkimChatResponseMetadata;

/**
 * How an answer came about, for the page.
 *
 * @param promptTokens tokens of the documents' text and the question
 * @param cachedTokens how many of them an earlier prompt began with too, so that they were not computed again
 * @param answerTokens tokens of the answer
 * @param timeToFirstTokenMillis from the request to the first token
 * @param tokensPerSecond after the first token; 0 if there was only one
 * @param attendedDensity share of the context that attention read while it wrote the answer, 0 to 1
 * @param complete whether the model ended the answer itself, not the length limit
 */
record AnswerFigures(
        int promptTokens,
        int cachedTokens,
        int answerTokens,
        long timeToFirstTokenMillis,
        double tokensPerSecond,
        double attendedDensity,
        boolean complete) {

    static AnswerFigures of(ChatResponse response) {
        SkimChatResponseMetadata metadata = (SkimChatResponseMetadata) response.metadata();
        return new AnswerFigures(
                response.tokenUsage().inputTokenCount(),
                metadata.cachedTokens(),
                response.tokenUsage().outputTokenCount(),
                metadata.timeToFirstToken().toMillis(),
                metadata.tokensPerSecond(),
                metadata.attendedDensity(),
                response.finishReason() != FinishReason.LENGTH);
    }
}
