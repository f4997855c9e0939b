package io.github.skim4j.langchain4j;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.langchain4j.data.message.UserMessage;
import dev.langchain4j.exception.ModelNotFoundException;
import dev.langchain4j.model.chat.ChatModel;
import dev.langchain4j.model.chat.common.AbstractChatModelIT;
import dev.langchain4j.model.chat.request.ChatRequest;
import dev.langchain4j.model.chat.request.ChatRequestParameters;
import dev.langchain4j.model.chat.response.ChatResponseMetadata;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** LangChain4j's own suite. */
class LangChain4jChatModelTest extends AbstractChatModelIT {

    private final ScriptedEngine engine = SuiteAnswers.engine();

    @AfterAll
    void close() {
        engine.close();
    }

    @Override
    protected List<ChatModel> models() {
        return List.of(SkimChatModel.builder().engine(engine).build());
    }

    @Override
    protected ChatModel createModelWith(ChatRequestParameters parameters) {
        return SkimChatModel.builder()
                .engine(engine)
                .defaultRequestParameters(parameters)
                .build();
    }

    @Override
    protected ChatRequestParameters createIntegrationSpecificParameters(int maxOutputTokens) {
        return SkimChatRequestParameters.builder()
                .maxOutputTokens(maxOutputTokens)
                .build();
    }

    @Override
    protected Class<? extends ChatResponseMetadata> chatResponseMetadataType(ChatModel model) {
        return SkimChatResponseMetadata.class;
    }

    /** The suite knows models that serve any name and models that serve none; an engine serves the one it has. */
    @Override
    @ParameterizedTest
    @MethodSource("models")
    protected void should_fail_if_modelName_is_not_supported(ChatModel model) {
        ChatRequest request = ChatRequest.builder()
                .messages(UserMessage.from("What is the capital of Germany?"))
                .modelName("dummy")
                .build();

        assertThatThrownBy(() -> model.chat(request)).isExactlyInstanceOf(ModelNotFoundException.class);
        assertThatThrownBy(() -> createModelWith(request.parameters()))
                .isExactlyInstanceOf(ModelNotFoundException.class);
    }

    @Override
    protected boolean supportsModelNameParameter() {
        return false;
    }

    @Override
    protected boolean supportsTools() {
        return false;
    }

    @Override
    protected boolean supportsToolChoiceRequired() {
        return false;
    }

    @Override
    protected boolean supportsJsonResponseFormat() {
        return false;
    }

    @Override
    protected boolean supportsJsonResponseFormatWithSchema() {
        return false;
    }

    @Override
    protected boolean supportsJsonResponseFormatWithRawSchema() {
        return false;
    }

    @Override
    protected boolean supportsSingleImageInputAsBase64EncodedString() {
        return false;
    }

    @Override
    protected boolean supportsSingleImageInputAsPublicURL() {
        return false;
    }
}
