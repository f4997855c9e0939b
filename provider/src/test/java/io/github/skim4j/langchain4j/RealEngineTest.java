package io.github.skim4j.langchain4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import dev.langchain4j.data.message.ChatMessage;
import dev.langchain4j.data.message.UserMessage;
import dev.langchain4j.exception.InternalServerException;
import dev.langchain4j.exception.InvalidRequestException;
import dev.langchain4j.exception.ModelNotFoundException;
import dev.langchain4j.exception.RateLimitException;
import dev.langchain4j.exception.TimeoutException;
import dev.langchain4j.model.chat.request.ChatRequest;
import dev.langchain4j.model.chat.response.ChatResponse;
import dev.langchain4j.model.output.FinishReason;
import dev.langchain4j.service.AiServices;
import dev.langchain4j.service.TokenStream;
import example.AskInProcess;
import io.github.skim4j.engine.Engine;
import io.github.skim4j.engine.EngineConfig;
import io.github.skim4j.engine.GenerationListener;
import io.github.skim4j.engine.GenerationRequest;
import io.github.skim4j.engine.SchedulerConfig;
import io.github.skim4j.engine.attention.AttentionMethod;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.parallel.ResourceLock;
import org.junit.jupiter.api.parallel.Resources;

/** The provider over an engine that computes: a tiny model with random weights, so that answers are gibberish but fixed. */
class RealEngineTest {

    private static final String MODEL = Path.of("../engine/src/test/resources/goldens/models/llama-tied")
            .toAbsolutePath()
            .normalize()
            .toString();

    private static Engine engine;

    @BeforeAll
    static void open() {
        engine = Engine.open(EngineConfig.builder(MODEL).threads(1).build());
    }

    @AfterAll
    static void close() {
        engine.close();
    }

    @AfterEach
    void allPagesAreFree() {
        awaitIdle(engine);
    }

    private static void awaitIdle(Engine engine) {
        await().until(() -> engine.stats().running() == 0 && engine.stats().queued() == 0);
        assertThat(engine.stats().pagesFree()).isEqualTo(engine.stats().pagesTotal());
    }

    private static SkimChatModel.Builder model() {
        return SkimChatModel.builder().engine(engine).maxOutputTokens(24);
    }

    private static SkimStreamingChatModel.Builder streamingModel() {
        return SkimStreamingChatModel.builder().engine(engine).maxOutputTokens(24);
    }

    /** What the engine itself says to a question. */
    private static String expected(String question) {
        GenerationRequest request = GenerationRequest.chat(
                        List.of(io.github.skim4j.engine.chat.ChatMessage.user(question)))
                .maxOutputTokens(24)
                .build();
        return engine.generate(request, new GenerationListener() {})
                .result()
                .join()
                .text();
    }

    interface Assistant {
        String answer(String question);
    }

    interface StreamingAssistant {
        TokenStream answer(String question);
    }

    @Test
    void anAiServiceAnswersWhatTheEngineSays() {
        Assistant assistant = AiServices.create(Assistant.class, model().build());

        assertThat(assistant.answer("Is it so?"))
                .isEqualTo(expected("Is it so?"))
                .isNotEmpty();
    }

    @Test
    void aStreamingAiServiceSaysTheSameInPieces() {
        StreamingAssistant assistant =
                AiServices.create(StreamingAssistant.class, streamingModel().build());
        List<String> pieces = new ArrayList<>();
        List<Thread> threads = new ArrayList<>();
        CompletableFuture<ChatResponse> end = new CompletableFuture<>();

        assistant
                .answer("Is it so?")
                .onPartialResponse(piece -> {
                    threads.add(Thread.currentThread());
                    pieces.add(piece);
                })
                .onCompleteResponse(end::complete)
                .onError(end::completeExceptionally)
                .start();

        assertThat(end.join().aiMessage().text()).isEqualTo(expected("Is it so?"));
        assertThat(String.join("", pieces)).isEqualTo(expected("Is it so?"));
        assertThat(threads).containsOnly(threads.get(0)).doesNotContain(Thread.currentThread());
    }

    @Test
    void metadataComesFromTheEngine() {
        ChatResponse response = model().build().chat(List.of(UserMessage.from("Is it so?")));

        SkimChatResponseMetadata metadata = (SkimChatResponseMetadata) response.metadata();
        assertThat(metadata.modelName()).isEqualTo(engine.modelName());
        // The prompt is what the estimator counts and the cue for the answer.
        assertThat(metadata.tokenUsage().inputTokenCount())
                .isGreaterThan(new SkimTokenCountEstimator(engine)
                        .estimateTokenCountInMessages(List.<ChatMessage>of(UserMessage.from("Is it so?"))));
        assertThat(metadata.tokenUsage().outputTokenCount()).isBetween(1, 24);
        assertThat(metadata.timeToFirstToken()).isPositive();
        assertThat(metadata.tokensPerSecond()).isPositive();
        assertThat(metadata.attendedDensity()).isEqualTo(1);
        assertThat(metadata.tokensEvicted()).isZero();
    }

    @Test
    void metadataTellsWhatThePrefixCacheSpared() {
        SkimChatModel model = model().build();
        List<ChatMessage> messages = List.of(UserMessage.from("A document that nobody else asks about. ".repeat(2)));

        SkimChatResponseMetadata first =
                (SkimChatResponseMetadata) model.chat(messages).metadata();
        SkimChatResponseMetadata second =
                (SkimChatResponseMetadata) model.chat(messages).metadata();

        int prompt = second.tokenUsage().inputTokenCount();
        assertThat(first.cachedTokens()).isLessThan(16);
        assertThat(second.cachedTokens()).isBetween(prompt - 16, prompt - 1);
    }

    @Test
    void theAttentionMethodOfARequestIsUsed() {
        ChatResponse response = model().build()
                .chat(ChatRequest.builder()
                        .messages(UserMessage.from("Is it so? Tell me, is it really so, or is it not?"))
                        .parameters(SkimChatRequestParameters.builder()
                                .attention(AttentionMethod.parse("streaming-llm:budget=32"))
                                .build())
                        .build());

        SkimChatResponseMetadata metadata = (SkimChatResponseMetadata) response.metadata();
        assertThat(metadata.attendedDensity()).isBetween(0.1, 0.9);
        assertThat(metadata.tokensRead()).isPositive();
        assertThat(metadata.tokensEvicted()).isPositive();
        assertThat(metadata.keptMass()).as("the recall probe is off").isNull();
    }

    @Test
    void aBudgetTooSmallForTheEnginesPagesIsAnInvalidRequest() {
        SkimChatModel model = model().attention("quest:budget=32").build();

        assertThatThrownBy(() -> model.chat("Is it so?"))
                .isExactlyInstanceOf(InvalidRequestException.class)
                .hasMessageContaining("quest budget must be at least 52 tokens");
    }

    @Test
    void theSeedFixesWhatIsDrawn() {
        SkimChatModel model = model().temperature(2.0).build();

        List<String> sevens = IntStream.range(0, 3)
                .mapToObj(i -> seeded(model, 7L))
                .distinct()
                .toList();
        List<String> others = IntStream.range(0, 3)
                .mapToObj(i -> seeded(model, (long) i))
                .distinct()
                .toList();

        assertThat(sevens).hasSize(1);
        assertThat(others).hasSizeGreaterThan(1);
    }

    private static String seeded(SkimChatModel model, long seed) {
        return model.chat(ChatRequest.builder()
                        .messages(UserMessage.from("Is it so?"))
                        .parameters(
                                SkimChatRequestParameters.builder().seed(seed).build())
                        .build())
                .aiMessage()
                .text();
    }

    @Test
    void stopsAtStopSequencesAndAtTheEndOfTheContext() {
        String answer = expected("Is it so?");
        String stop = answer.substring(answer.length() / 2, answer.length() / 2 + 2);

        ChatResponse stopped =
                model().stopSequences(List.of(stop)).build().chat(List.of(UserMessage.from("Is it so?")));
        ChatResponse atLimit = model().maxOutputTokens(1_000_000).build().chat(List.of(UserMessage.from("Is it so?")));

        assertThat(stopped.finishReason()).isEqualTo(FinishReason.STOP);
        assertThat(stopped.aiMessage().text()).isEqualTo(answer.substring(0, answer.indexOf(stop)));
        assertThat(atLimit.tokenUsage().totalTokenCount()).isLessThanOrEqualTo(engine.contextLength());
    }

    @Test
    void aPromptOverTheContextIsAnInvalidRequest() {
        assertThatThrownBy(() -> model().build().chat("so ".repeat(200)))
                .isExactlyInstanceOf(InvalidRequestException.class)
                .hasMessageContaining("128");
    }

    @Test
    void aTimeoutReturnsAllPages() {
        SkimChatModel model = model().timeout(Duration.ofNanos(1)).build();

        // An answer of a model this small can be there before its caller looks.
        await().untilAsserted(() ->
                assertThatThrownBy(() -> model.chat("Is it so?")).isExactlyInstanceOf(TimeoutException.class));
    }

    @Test
    void aFullQueueIsARateLimit() {
        EngineConfig narrow = EngineConfig.builder(MODEL)
                .threads(1)
                .scheduler(new SchedulerConfig(1, 16, 1))
                .build();
        try (SkimStreamingChatModel model =
                SkimStreamingChatModel.builder().engineConfig(narrow).build()) {
            List<RecordingHandler> handlers = new ArrayList<>();
            for (int i = 0; i < 200; i++) {
                RecordingHandler handler = new RecordingHandler();
                handlers.add(handler);
                model.chat("Is it so?", handler);
            }

            await().until(() -> handlers.stream()
                    .allMatch(
                            handler -> handler.isComplete() || !handler.errors().isEmpty()));
            assertThat(handlers.stream().flatMap(handler -> handler.errors().stream()))
                    .isNotEmpty()
                    .allSatisfy(error -> assertThat(error).isExactlyInstanceOf(RateLimitException.class));
            assertThat(handlers).anyMatch(RecordingHandler::isComplete);
        }
    }

    @Test
    void aThousandRequestsOfTenThreadsAThirdCancelledMidwayReturnAllPages() throws Exception {
        SkimChatModel model = model().build();
        SkimStreamingChatModel streamingModel = streamingModel().build();
        List<String> questions =
                IntStream.range(0, 10).mapToObj(i -> "Is it number " + i + "?").toList();
        List<String> answers = questions.stream().map(RealEngineTest::expected).toList();
        long cancelledBefore = engine.stats().cancelled();
        ExecutorService threads = Executors.newFixedThreadPool(10);
        try {
            List<Callable<Void>> callers = IntStream.range(0, 10)
                    .mapToObj(thread -> (Callable<Void>) () -> {
                        for (int i = 0; i < 100; i++) {
                            int which = (thread + i) % 10;
                            switch (i % 3) {
                                case 0 -> cancelMidway(streamingModel, questions.get(which));
                                case 1 ->
                                    assertThat(model.chat(questions.get(which))).isEqualTo(answers.get(which));
                                default -> {
                                    RecordingHandler handler = new RecordingHandler();
                                    streamingModel.chat(questions.get(which), handler);
                                    assertThat(handler.response().aiMessage().text())
                                            .isEqualTo(answers.get(which));
                                    assertThat(handler.threads())
                                            .containsOnly(handler.threads().get(0));
                                }
                            }
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

        awaitIdle(engine);
        assertThat(engine.stats().cancelled() - cancelledBefore).isBetween(100L, 340L);
    }

    private static void cancelMidway(SkimStreamingChatModel model, String question) {
        RecordingHandler handler = new RecordingHandler() {
            @Override
            void onPiece() {
                handle().cancel();
            }
        };
        model.chat(question, handler);
        await().until(() -> !handler.pieces().isEmpty());
        assertThat(handler.pieces()).hasSize(1);
        assertThat(handler.isComplete()).isFalse();
        assertThat(handler.errors()).isEmpty();
    }

    @Test
    void aModelClosesTheEngineThatItOpened() {
        SkimChatModel model =
                SkimChatModel.builder().model(MODEL).maxOutputTokens(4).build();
        assertThat(model.chat("Is it so?")).isNotEmpty();

        model.close();
        model.close();

        assertThatThrownBy(() -> model.chat("Is it so?")).isExactlyInstanceOf(InternalServerException.class);
    }

    @Test
    void aModelThatIsNotThereIsNotFound() {
        assertThatThrownBy(() -> SkimChatModel.builder().model("/no/such/model").build())
                .isExactlyInstanceOf(ModelNotFoundException.class)
                .hasMessageContaining("/no/such/model");
    }

    @Test
    void nothingStaysOpenIfTheDefaultsAreWrong() {
        long before = engineThreads();

        assertThatThrownBy(() ->
                        SkimChatModel.builder().model(MODEL).temperature(-1.0).build())
                .isExactlyInstanceOf(InvalidRequestException.class);

        await().untilAsserted(() -> assertThat(engineThreads()).isLessThanOrEqualTo(before));
    }

    private static long engineThreads() {
        return Thread.getAllStackTraces().keySet().stream()
                .filter(thread -> thread.getName().equals("skim-scheduler"))
                .count();
    }

    @Test
    @ResourceLock(Resources.SYSTEM_OUT)
    void theReadmesExampleRuns() {
        PrintStream console = System.out;
        ByteArrayOutputStream printed = new ByteArrayOutputStream();
        System.setOut(new PrintStream(printed, true, StandardCharsets.UTF_8));
        try {
            AskInProcess.main(new String[] {MODEL, "Is it so?"});
        } finally {
            System.setOut(console);
        }

        assertThat(printed.toString(StandardCharsets.UTF_8))
                .contains(expected("Is it so?"))
                .contains("tokens a second");
    }
}
