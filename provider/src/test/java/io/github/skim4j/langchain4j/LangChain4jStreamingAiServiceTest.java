package io.github.skim4j.langchain4j;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.langchain4j.agent.tool.Tool;
import dev.langchain4j.exception.UnsupportedFeatureException;
import dev.langchain4j.model.chat.StreamingChatModel;
import dev.langchain4j.model.chat.response.ChatResponseMetadata;
import dev.langchain4j.service.AiServices;
import dev.langchain4j.service.TokenStream;
import dev.langchain4j.service.common.AbstractStreamingAiServiceIT;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** LangChain4j's own suite; it has no switch for its tests with tools, so that these are overridden. */
class LangChain4jStreamingAiServiceTest extends AbstractStreamingAiServiceIT {

    private final ScriptedEngine engine = SuiteAnswers.engine();

    @AfterAll
    void close() {
        engine.close();
    }

    @Override
    protected List<StreamingChatModel> models() {
        return List.of(SkimStreamingChatModel.builder().engine(engine).build());
    }

    @Override
    protected Class<? extends ChatResponseMetadata> chatResponseMetadataType(StreamingChatModel model) {
        return SkimChatResponseMetadata.class;
    }

    @Override
    @ParameterizedTest
    @MethodSource("models")
    protected void should_execute_tool_without_arguments(StreamingChatModel model) {
        TokenStream answer = AiServices.builder(ToolAssistant.class)
                .streamingChatModel(model)
                .tools(new Clock())
                .build()
                .chat("What is the date today?")
                .onPartialResponse(piece -> {})
                .onError(error -> {});

        assertThatThrownBy(answer::start)
                .isExactlyInstanceOf(UnsupportedFeatureException.class)
                .hasMessageContaining("tools");
    }

    @Override
    protected void should_keep_memory_consistent_when_streaming_using_immediate_tool(StreamingChatModel model) {
        // Needs tools.
    }

    interface ToolAssistant {
        TokenStream chat(String message);
    }

    static class Clock {
        @Tool
        String currentDate() {
            return "2000-01-01";
        }
    }
}
