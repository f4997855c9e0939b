package io.github.skim4j.langchain4j;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.langchain4j.data.message.UserMessage;
import dev.langchain4j.exception.ModelNotFoundException;
import dev.langchain4j.model.chat.StreamingChatModel;
import dev.langchain4j.model.chat.common.AbstractStreamingChatModelIT;
import dev.langchain4j.model.chat.listener.ChatModelListener;
import dev.langchain4j.model.chat.request.ChatRequest;
import dev.langchain4j.model.chat.request.ChatRequestParameters;
import dev.langchain4j.model.chat.response.ChatResponseMetadata;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** LangChain4j's own suite. */
class LangChain4jStreamingChatModelTest extends AbstractStreamingChatModelIT {

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
    protected StreamingChatModel createModelWith(ChatRequestParameters parameters) {
        return SkimStreamingChatModel.builder()
                .engine(engine)
                .defaultRequestParameters(parameters)
                .build();
    }

    @Override
    public StreamingChatModel createModelWith(ChatModelListener listener) {
        return SkimStreamingChatModel.builder()
                .engine(engine)
                .listeners(List.of(listener))
                .build();
    }

    @Override
    protected ChatRequestParameters createIntegrationSpecificParameters(int maxOutputTokens) {
        return SkimChatRequestParameters.builder()
                .maxOutputTokens(maxOutputTokens)
                .build();
    }

    @Override
    protected Class<? extends ChatResponseMetadata> chatResponseMetadataType(StreamingChatModel model) {
        return SkimChatResponseMetadata.class;
    }

    /** The suite knows models that serve any name and models that serve none; an engine serves the one it has. */
    @Override
    @ParameterizedTest
    @MethodSource("models")
    protected void should_fail_if_modelName_is_not_supported(StreamingChatModel model) {
        ChatRequest request = ChatRequest.builder()
                .messages(UserMessage.from("What is the capital of Germany?"))
                .modelName("dummy")
                .build();

        assertThatThrownBy(() -> chat(model, request)).hasRootCauseExactlyInstanceOf(ModelNotFoundException.class);
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
