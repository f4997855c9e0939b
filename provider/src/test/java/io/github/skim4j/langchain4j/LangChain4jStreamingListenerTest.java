package io.github.skim4j.langchain4j;

import dev.langchain4j.exception.InternalServerException;
import dev.langchain4j.model.chat.StreamingChatModel;
import dev.langchain4j.model.chat.common.AbstractStreamingChatModelListenerIT;
import dev.langchain4j.model.chat.listener.ChatModelListener;
import java.util.List;
import org.junit.jupiter.api.AfterEach;

/** LangChain4j's own suite. */
class LangChain4jStreamingListenerTest extends AbstractStreamingChatModelListenerIT {

    private final ScriptedEngine engine = SuiteAnswers.engine();

    @AfterEach
    void close() {
        engine.close();
    }

    @Override
    protected StreamingChatModel createModel(ChatModelListener listener) {
        return SkimStreamingChatModel.builder()
                .engine(engine)
                .temperature(temperature())
                .topP(topP())
                .maxOutputTokens(maxTokens())
                .listeners(List.of(listener))
                .build();
    }

    @Override
    protected String modelName() {
        return ScriptedEngine.MODEL;
    }

    @Override
    protected StreamingChatModel createFailingModel(ChatModelListener listener) {
        engine.close();
        return createModel(listener);
    }

    @Override
    protected Class<? extends Exception> expectedExceptionClass() {
        return InternalServerException.class;
    }

    @Override
    protected boolean supportsTools() {
        return false;
    }
}
