package io.github.skim4j.langchain4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.langchain4j.agent.tool.ToolExecutionRequest;
import dev.langchain4j.data.message.AiMessage;
import dev.langchain4j.data.message.ChatMessage;
import dev.langchain4j.data.message.SystemMessage;
import dev.langchain4j.data.message.ToolExecutionResultMessage;
import dev.langchain4j.data.message.UserMessage;
import dev.langchain4j.exception.UnsupportedFeatureException;
import dev.langchain4j.memory.chat.TokenWindowChatMemory;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class SkimTokenCountEstimatorTest {

    private final ScriptedEngine engine = ScriptedEngine.answering("Yes.");
    private final SkimTokenCountEstimator estimator = new SkimTokenCountEstimator(engine);

    @AfterEach
    void close() {
        engine.close();
    }

    @Test
    void countsBareTextWithoutTemplate() {
        assertThat(estimator.estimateTokenCountInText("one two three")).isEqualTo(3);
    }

    @Test
    void countsMessagesAsTheTemplateRendersThem() {
        UserMessage question = UserMessage.from("one two");

        assertThat(estimator.estimateTokenCountInMessage(question)).isEqualTo(5);
        assertThat(estimator.estimateTokenCountInMessages(List.of(SystemMessage.from("three"), question)))
                .isEqualTo(9);
        assertThat(estimator.estimateTokenCountInMessages(List.of())).isZero();
    }

    @Test
    void countsTheTextOfMessagesThatTheTemplateRefuses() {
        assertThat(estimator.estimateTokenCountInMessages(
                        List.of(SystemMessage.from("one two"), AiMessage.from("three"))))
                .isEqualTo(3);
    }

    @Test
    void refusesToolMessages() {
        ChatMessage result = ToolExecutionResultMessage.from(
                ToolExecutionRequest.builder().id("1").name("weather").build(), "sunny");

        assertThatThrownBy(() -> estimator.estimateTokenCountInMessage(result))
                .isExactlyInstanceOf(UnsupportedFeatureException.class);
    }

    @Test
    void keepsAChatMemoryWithinItsTokens() {
        TokenWindowChatMemory memory = TokenWindowChatMemory.withMaxTokens(20, estimator);
        memory.add(SystemMessage.from("Be brief."));
        for (int i = 0; i < 10; i++) {
            memory.add(UserMessage.from("question " + i));
            memory.add(AiMessage.from("answer " + i));
        }

        assertThat(estimator.estimateTokenCountInMessages(memory.messages())).isBetween(10, 20);
        assertThat(memory.messages())
                .startsWith(SystemMessage.from("Be brief."))
                .endsWith(AiMessage.from("answer 9"));
    }
}
