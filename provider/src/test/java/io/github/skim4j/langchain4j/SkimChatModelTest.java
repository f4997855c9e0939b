package io.github.skim4j.langchain4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;
import static org.awaitility.Awaitility.await;

import dev.langchain4j.data.message.AiMessage;
import dev.langchain4j.data.message.UserMessage;
import dev.langchain4j.exception.InternalServerException;
import dev.langchain4j.exception.InvalidRequestException;
import dev.langchain4j.exception.LangChain4jException;
import dev.langchain4j.exception.ModelNotFoundException;
import dev.langchain4j.exception.RateLimitException;
import dev.langchain4j.exception.TimeoutException;
import dev.langchain4j.model.ModelProvider;
import dev.langchain4j.model.chat.response.ChatResponse;
import dev.langchain4j.model.output.FinishReason;
import dev.langchain4j.model.output.TokenUsage;
import io.github.skim4j.engine.ContextLengthExceededException;
import io.github.skim4j.engine.EngineClosedException;
import io.github.skim4j.engine.EngineConfig;
import io.github.skim4j.engine.QueueFullException;
import io.github.skim4j.engine.backend.BackendException;
import io.github.skim4j.engine.kv.KvCacheFullException;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class SkimChatModelTest {

    private ScriptedEngine engine = ScriptedEngine.answering("It is so.");

    @AfterEach
    void close() {
        engine.close();
    }

    private SkimChatModel.Builder model(ScriptedEngine engine) {
        this.engine.close();
        this.engine = engine;
        return SkimChatModel.builder().engine(engine);
    }

    @Test
    void answersWithMetadata() {
        SkimChatModel model = model(ScriptedEngine.answering("It is so.")).build();

        ChatResponse response = model.chat(UserMessage.from("Is it so?"));

        assertThat(response.aiMessage()).isEqualTo(AiMessage.from("It is so."));
        assertThat(response.metadata())
                .isEqualTo(SkimChatResponseMetadata.builder()
                        .id(response.id())
                        .modelName(ScriptedEngine.MODEL)
                        .tokenUsage(new TokenUsage(6, 4))
                        .finishReason(FinishReason.STOP)
                        .cachedTokens(ScriptedEngine.CACHED_TOKENS)
                        .timeToFirstToken(Duration.ofMillis(100))
                        .tokensPerSecond(100.0)
                        .attention(ScriptedEngine.ATTENTION)
                        .build());
    }

    @Test
    void givesEachResponseItsOwnId() {
        SkimChatModel model = model(ScriptedEngine.answering("It is so.")).build();

        assertThat(Stream.generate(() -> model.chat(List.of(UserMessage.from("Is it?"))))
                        .limit(3)
                        .map(ChatResponse::id))
                .doesNotHaveDuplicates()
                .allSatisfy(id -> assertThat(id).isNotBlank());
    }

    @Test
    void saysLengthAtTheTokenLimit() {
        SkimChatModel model = model(ScriptedEngine.endless()).maxOutputTokens(3).build();

        ChatResponse response = model.chat(List.of(UserMessage.from("A story")));

        assertThat(response.finishReason()).isEqualTo(FinishReason.LENGTH);
        assertThat(response.aiMessage().text()).isEqualTo(" and and and");
        assertThat(response.tokenUsage().outputTokenCount()).isEqualTo(3);
    }

    @Test
    void saysOtherWhereSomethingElseCancelled() {
        ScriptedEngine endless = ScriptedEngine.endless();
        SkimChatModel model = model(endless).build();
        Thread canceller = new Thread(() -> {
            await().until(() -> endless.decoded() > 3);
            endless.lastGeneration().cancel();
        });
        canceller.start();

        ChatResponse response = model.chat(List.of(UserMessage.from("A story")));

        assertThat(response.finishReason()).isEqualTo(FinishReason.OTHER);
        assertThat(response.aiMessage().text()).startsWith(" and and and");
    }

    @Test
    void describesItself() {
        SkimChatModel model = model(engine).build();

        assertThat(model.provider()).isEqualTo(ModelProvider.OTHER);
        assertThat(model.supportedCapabilities()).isEmpty();
        assertThat(model.listeners()).isEmpty();
    }

    @Test
    void tellsListenersOfRequestAndResponse() {
        RecordingListener listener = new RecordingListener();
        SkimChatModel model = model(ScriptedEngine.answering("It is so."))
                .topK(5)
                .listeners(List.of(listener))
                .build();

        model.chat("Is it so?");

        assertThat(listener.requests()).singleElement().satisfies(request -> {
            assertThat(request.modelName()).isEqualTo(ScriptedEngine.MODEL);
            assertThat(request.topK()).isEqualTo(5);
        });
        assertThat(listener.responses())
                .singleElement()
                .satisfies(response -> assertThat(response.aiMessage().text()).isEqualTo("It is so."));
        assertThat(listener.errors()).isEmpty();
    }

    static Stream<Arguments> failures() {
        return Stream.of(
                Arguments.of(new ContextLengthExceededException("too long"), InvalidRequestException.class),
                Arguments.of(new KvCacheFullException("too small"), InvalidRequestException.class),
                Arguments.of(new IllegalArgumentException("wrong"), InvalidRequestException.class),
                Arguments.of(new QueueFullException("later"), RateLimitException.class),
                Arguments.of(new EngineClosedException("closed"), InternalServerException.class),
                Arguments.of(new BackendException("broken"), InternalServerException.class),
                Arguments.of(
                        new io.github.skim4j.engine.model.ModelNotFoundException("nowhere"),
                        ModelNotFoundException.class),
                Arguments.of(new IllegalStateException("bug"), InternalServerException.class),
                Arguments.of(new UnsatisfiedLinkError("no native library"), InternalServerException.class),
                Arguments.of(new NoClassDefFoundError("gone"), InternalServerException.class));
    }

    @ParameterizedTest
    @MethodSource("failures")
    void mapsFailuresAndTellsListeners(Throwable failure, Class<? extends Exception> mapped) {
        for (ScriptedEngine failing : List.of(ScriptedEngine.failing(failure), ScriptedEngine.failingMidway(failure))) {
            RecordingListener listener = new RecordingListener();
            SkimChatModel model = model(failing).listeners(List.of(listener)).build();

            Throwable thrown = catchThrowable(() -> model.chat("Is it so?"));

            assertThat(thrown)
                    .isExactlyInstanceOf(mapped)
                    .hasMessageContaining(failure.getMessage())
                    .hasCause(failure);
            assertThat(listener.errors()).containsExactly(thrown);
            assertThat(listener.responses()).isEmpty();
        }
    }

    @Test
    void timeoutStopsTheDecode() {
        ScriptedEngine endless = ScriptedEngine.endless();
        RecordingListener listener = new RecordingListener();
        SkimChatModel model = model(endless)
                .timeout(Duration.ofMillis(100))
                .listeners(List.of(listener))
                .build();

        assertThatThrownBy(() -> model.chat("A story"))
                .isExactlyInstanceOf(TimeoutException.class)
                .hasMessageContaining("PT0.1S");

        assertThat(listener.errors()).singleElement().isInstanceOf(TimeoutException.class);
        await().until(() -> endless.running() == 0);
    }

    @Test
    void aQuickAnswerBeatsTheTimeout() {
        SkimChatModel model = model(ScriptedEngine.answering("It is so."))
                .timeout(Duration.ofMinutes(1))
                .build();

        assertThat(model.chat("Is it so?")).isEqualTo("It is so.");
    }

    @Test
    void interruptStopsTheDecodeAndKeepsTheFlag() throws Exception {
        ScriptedEngine endless = ScriptedEngine.endless();
        SkimChatModel model = model(endless).build();
        ExecutorService caller = Executors.newSingleThreadExecutor();
        try {
            Future<Boolean> flag = caller.submit(() -> {
                assertThatThrownBy(() -> model.chat("A story"))
                        .isExactlyInstanceOf(LangChain4jException.class)
                        .hasCauseInstanceOf(InterruptedException.class);
                return Thread.currentThread().isInterrupted();
            });
            await().until(() -> endless.decoded() > 3);

            caller.shutdownNow();

            assertThat(flag.get()).isTrue();
            await().until(() -> endless.running() == 0);
        } finally {
            caller.shutdownNow();
        }
    }

    @Test
    void tenThreadsEachGetTheirOwnAnswer() throws Exception {
        SkimChatModel model = model(ScriptedEngine.of(messages ->
                        ScriptedEngine.words("You said: " + messages.get(0).content())))
                .build();
        ExecutorService threads = Executors.newFixedThreadPool(10);
        try {
            List<Callable<Void>> callers = IntStream.range(0, 10)
                    .mapToObj(thread -> (Callable<Void>) () -> {
                        for (int i = 0; i < 20; i++) {
                            String question = "thread " + thread + " question " + i;
                            assertThat(model.chat(question)).isEqualTo("You said: " + question);
                        }
                        return null;
                    })
                    .toList();
            for (Future<Void> caller : threads.invokeAll(callers)) {
                caller.get();
            }
        } finally {
            threads.shutdownNow();
        }
    }

    @Test
    void closeLeavesAGivenEngineOpen() {
        SkimChatModel model = model(ScriptedEngine.answering("It is so.")).build();

        model.close();
        model.close();

        assertThat(engine.isClosed()).isFalse();
        assertThat(model.chat("Is it so?")).isEqualTo("It is so.");
    }

    @Test
    void needsExactlyOneEngine() {
        assertThatThrownBy(() -> SkimChatModel.builder().build())
                .isExactlyInstanceOf(IllegalArgumentException.class)
                .hasMessage("set exactly one of engine, engineConfig and model, but none is set");
        assertThatThrownBy(() -> SkimChatModel.builder()
                        .engine(engine)
                        .engineConfig(EngineConfig.builder("somewhere").build())
                        .build())
                .isExactlyInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("both");
    }

    @Test
    void refusesATimeoutThatIsNotAboveZero() {
        for (Duration timeout : List.of(Duration.ZERO, Duration.ofSeconds(-1))) {
            assertThatThrownBy(() -> SkimChatModel.builder()
                            .engine(engine)
                            .timeout(timeout)
                            .build())
                    .isExactlyInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("timeout");
        }
    }
}
