package io.github.skim4j.langchain4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.langchain4j.agent.tool.ToolExecutionRequest;
import dev.langchain4j.data.message.AiMessage;
import dev.langchain4j.data.message.AudioContent;
import dev.langchain4j.data.message.ChatMessage;
import dev.langchain4j.data.message.CustomMessage;
import dev.langchain4j.data.message.ImageContent;
import dev.langchain4j.data.message.PdfFileContent;
import dev.langchain4j.data.message.SystemMessage;
import dev.langchain4j.data.message.TextContent;
import dev.langchain4j.data.message.ToolExecutionResultMessage;
import dev.langchain4j.data.message.UserMessage;
import dev.langchain4j.data.message.VideoContent;
import dev.langchain4j.exception.UnsupportedFeatureException;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class ChatMessagesTest {

    @Test
    void keepsRolesAndOrder() {
        assertThat(ChatMessages.toEngine(List.of(
                        SystemMessage.from("Be brief."),
                        UserMessage.from("Hi"),
                        AiMessage.from("Hello"),
                        UserMessage.from("Bye"))))
                .containsExactly(
                        io.github.skim4j.engine.chat.ChatMessage.system("Be brief."),
                        io.github.skim4j.engine.chat.ChatMessage.user("Hi"),
                        io.github.skim4j.engine.chat.ChatMessage.assistant("Hello"),
                        io.github.skim4j.engine.chat.ChatMessage.user("Bye"));
    }

    @Test
    void joinsTextContentsWithLineBreaks() {
        UserMessage message = UserMessage.from(TextContent.from("first"), TextContent.from("second"));

        assertThat(ChatMessages.toEngine(message).content()).isEqualTo("first\nsecond");
    }

    @Test
    void leavesThinkingOut() {
        AiMessage message = AiMessage.builder().thinking("Hm.").text("Yes.").build();

        assertThat(ChatMessages.toEngine(message).content()).isEqualTo("Yes.");
        assertThat(ChatMessages.toEngine(AiMessage.builder().thinking("Hm.").build())
                        .content())
                .isEmpty();
    }

    static Stream<Arguments> unsupported() {
        ToolExecutionRequest call =
                ToolExecutionRequest.builder().id("1").name("weather").build();
        return Stream.of(
                Arguments.of(UserMessage.from(ImageContent.from("http://localhost/cat.png")), "type image"),
                Arguments.of(UserMessage.from(AudioContent.from("http://localhost/cat.mp3")), "type audio"),
                Arguments.of(UserMessage.from(VideoContent.from("http://localhost/cat.mp4")), "type video"),
                Arguments.of(UserMessage.from(PdfFileContent.from("http://localhost/cat.pdf")), "type pdf"),
                Arguments.of(AiMessage.from(call), "calls tools"),
                Arguments.of(ToolExecutionResultMessage.from(call, "sunny"), "TOOL_EXECUTION_RESULT"),
                Arguments.of(CustomMessage.from(Map.of("a", 1)), "CUSTOM"));
    }

    @ParameterizedTest
    @MethodSource("unsupported")
    void refusesWhatIsNotText(ChatMessage message, String named) {
        assertThatThrownBy(() -> ChatMessages.toEngine(List.of(UserMessage.from("Hi"), message)))
                .isExactlyInstanceOf(UnsupportedFeatureException.class)
                .hasMessageContainingAll(named, "is not supported yet");
    }
}
