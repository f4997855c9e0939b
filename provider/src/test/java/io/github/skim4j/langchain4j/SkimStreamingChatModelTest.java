package io.github.skim4j.langchain4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import dev.langchain4j.data.message.ImageContent;
import dev.langchain4j.data.message.UserMessage;
import dev.langchain4j.exception.InternalServerException;
import dev.langchain4j.exception.InvalidRequestException;
import dev.langchain4j.exception.ModelNotFoundException;
import dev.langchain4j.exception.TimeoutException;
import dev.langchain4j.exception.UnsupportedFeatureException;
import dev.langchain4j.model.ModelProvider;
import dev.langchain4j.model.chat.request.ChatRequest;
import dev.langchain4j.model.chat.response.ChatResponse;
import dev.langchain4j.model.output.FinishReason;
import dev.langchain4j.model.output.TokenUsage;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class SkimStreamingChatModelTest {

    private ScriptedEngine engine = ScriptedEngine.answering("It is so.");

    @AfterEach
    void close() {
        engine.close();
    }

    private SkimStreamingChatModel.Builder model(ScriptedEngine engine) {
        this.engine.close();
        this.engine = engine;
        return SkimStreamingChatModel.builder().engine(engine);
    }

    @Test
    void streamsPiecesThenTheWhole() throws Exception {
        SkimStreamingChatModel model =
                model(ScriptedEngine.answering("It is so.")).build();
        RecordingHandler handler = new RecordingHandler();

        model.chat("Is it so?", handler);

        ChatResponse response = handler.response();
        assertThat(response.aiMessage().text()).isEqualTo("It is so.");
        assertThat(handler.pieces()).containsExactly("It", " is", " so.");
        assertThat(handler.errors()).isEmpty();
        assertThat(handler.threads()).doesNotContain(Thread.currentThread());
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
    void describesItself() {
        SkimStreamingChatModel model = model(engine).topK(3).build();

        assertThat(model.provider()).isEqualTo(ModelProvider.OTHER);
        assertThat(model.supportedCapabilities()).isEmpty();
        assertThat(model.listeners()).isEmpty();
        assertThat(model.defaultRequestParameters().topK()).isEqualTo(3);
    }

    @Test
    void cancelFromTheHandlerStopsTheDecodeAndAllCallbacks() {
        ScriptedEngine endless = ScriptedEngine.endless();
        RecordingListener listener = new RecordingListener();
        SkimStreamingChatModel model =
                model(endless).listeners(List.of(listener)).build();
        RecordingHandler handler = new RecordingHandler() {
            @Override
            void onPiece() {
                if (pieces().size() == 5) {
                    handle().cancel();
                }
            }
        };

        model.chat("A story", handler);

        await().until(() -> endless.decoded() > 0 && endless.running() == 0);
        assertThat(endless.decoded()).isEqualTo(5);
        assertThat(handler.pieces()).hasSize(5);
        assertThat(handler.isComplete()).isFalse();
        assertThat(handler.errors()).isEmpty();
        assertThat(listener.responses()).isEmpty();
        assertThat(listener.errors()).isEmpty();
    }

    @Test
    void cancelFromAnotherThreadIsIdempotent() {
        ScriptedEngine endless = ScriptedEngine.endless();
        SkimStreamingChatModel model = model(endless).build();
        RecordingHandler handler = new RecordingHandler();
        model.chat("A story", handler);
        await().until(() -> handler.handle() != null);
        assertThat(handler.handle().isCancelled()).isFalse();

        handler.handle().cancel();
        handler.handle().cancel();

        assertThat(handler.handle().isCancelled()).isTrue();
        await().until(() -> endless.running() == 0);
        assertThat(handler.isComplete()).isFalse();
        assertThat(handler.errors()).isEmpty();
    }

    @Test
    void cancelInAPieceThatComesBeforeTheGenerationIsKnown() throws Exception {
        ScriptedEngine endless = ScriptedEngine.endless();
        RecordingHandler handler = new RecordingHandler() {
            @Override
            void onPiece() {
                handle().cancel();
            }
        };
        ChatEngine chat = new ChatEngine(endless, false, SkimChatRequestParameters.EMPTY, List.of(), null);
        StreamingCall call = new StreamingCall(handler, chat);
        ChatRequest request =
                ChatRequest.builder().messages(UserMessage.from("A story")).build();

        var generation = chat.generate(request, call);
        await().until(() -> !handler.pieces().isEmpty());
        call.started(generation);

        assertThat(generation.result().get().finishReason()).isEqualTo(io.github.skim4j.engine.FinishReason.CANCELLED);
        assertThat(handler.pieces()).hasSize(1);
        assertThat(handler.isComplete()).isFalse();
    }

    @Test
    void cancelAfterTheEndChangesNothing() throws Exception {
        SkimStreamingChatModel model =
                model(ScriptedEngine.answering("It is so.")).build();
        RecordingHandler handler = new RecordingHandler();
        model.chat("Is it so?", handler);
        handler.response();

        handler.handle().cancel();

        assertThat(handler.errors()).isEmpty();
    }

    @Test
    void anExceptionOfTheHandlerGoesToOnErrorAndTheAnswerGoesOn() throws Exception {
        RuntimeException mistake = new RuntimeException("user code");
        RecordingListener listener = new RecordingListener();
        SkimStreamingChatModel model = model(ScriptedEngine.answering("It is so."))
                .listeners(List.of(listener))
                .build();
        RecordingHandler handler = new RecordingHandler() {
            @Override
            void onPiece() {
                throw mistake;
            }
        };

        model.chat("Is it so?", handler);

        assertThat(handler.response().aiMessage().text()).isEqualTo("It is so.");
        assertThat(handler.errors()).containsExactly(mistake, mistake, mistake);
        assertThat(listener.errors()).containsExactly(mistake, mistake, mistake);
    }

    @Test
    void aHandlerThatCancelsInOnErrorStopsTheDecode() {
        ScriptedEngine endless = ScriptedEngine.endless();
        SkimStreamingChatModel model = model(endless).build();
        RecordingHandler handler = new RecordingHandler() {
            @Override
            void onPiece() {
                throw new IllegalStateException("user code");
            }

            @Override
            public void onError(Throwable error) {
                super.onError(error);
                handle().cancel();
            }
        };

        model.chat("A story", handler);

        await().until(() -> endless.decoded() > 0 && endless.running() == 0);
        assertThat(endless.decoded()).isEqualTo(1);
        assertThat(handler.errors()).hasSize(1);
        assertThat(handler.isComplete()).isFalse();
    }

    @Test
    void anErrorOfTheHandlerStopsTheDecodeAndGoesToOnErrorAsItIs() throws Exception {
        ScriptedEngine endless = ScriptedEngine.endless();
        AssertionError mistake = new AssertionError("user code");
        SkimStreamingChatModel model = model(endless).build();
        RecordingHandler handler = new RecordingHandler() {
            @Override
            void onPiece() {
                throw mistake;
            }
        };

        model.chat("A story", handler);

        assertThat(handler.error()).isSameAs(mistake);
        await().until(() -> endless.running() == 0);
        assertThat(endless.decoded()).isEqualTo(1);
        assertThat(handler.errors()).hasSize(1);
        assertThat(handler.isComplete()).isFalse();
    }

    @Test
    void anExceptionInOnErrorIsSwallowed() throws Exception {
        SkimStreamingChatModel model =
                model(ScriptedEngine.answering("It is so.")).build();
        RecordingHandler handler = new RecordingHandler() {
            @Override
            void onPiece() {
                throw new IllegalStateException("user code");
            }

            @Override
            public void onError(Throwable error) {
                super.onError(error);
                throw new IllegalStateException("again");
            }
        };

        model.chat("Is it so?", handler);

        assertThat(handler.response().aiMessage().text()).isEqualTo("It is so.");
        assertThat(handler.errors()).hasSize(3);
    }

    @ParameterizedTest
    @MethodSource("io.github.skim4j.langchain4j.SkimChatModelTest#failures")
    void handsMappedFailuresToHandlerAndListeners(Throwable failure, Class<? extends Exception> mapped)
            throws Exception {
        for (ScriptedEngine failing : List.of(ScriptedEngine.failing(failure), ScriptedEngine.failingMidway(failure))) {
            RecordingListener listener = new RecordingListener();
            SkimStreamingChatModel model =
                    model(failing).listeners(List.of(listener)).build();
            RecordingHandler handler = new RecordingHandler();

            model.chat("Is it so?", handler);

            assertThat(handler.error())
                    .isExactlyInstanceOf(mapped)
                    .hasMessageContaining(failure.getMessage())
                    .hasCause(failure);
            assertThat(handler.errors()).hasSize(1);
            assertThat(listener.errors()).containsExactly(handler.error());
            assertThat(handler.isComplete()).isFalse();
        }
    }

    @Test
    void handsInvalidRequestsToOnError() throws Exception {
        SkimStreamingChatModel model = model(engine).build();
        RecordingHandler outOfRange = new RecordingHandler();
        RecordingHandler otherModel = new RecordingHandler();

        model.chat(question().temperature(-1.0).build(), outOfRange);
        model.chat(question().modelName("other-model").build(), otherModel);

        assertThat(outOfRange.error()).isExactlyInstanceOf(InvalidRequestException.class);
        assertThat(otherModel.error()).isExactlyInstanceOf(ModelNotFoundException.class);
    }

    @Test
    void refusesUnsupportedFeaturesAtOnce() {
        SkimStreamingChatModel model = model(engine).build();
        RecordingHandler handler = new RecordingHandler();
        ChatRequest request = ChatRequest.builder()
                .messages(UserMessage.from(ImageContent.from("http://localhost/cat.png")))
                .build();

        assertThatThrownBy(() -> model.chat(request, handler)).isExactlyInstanceOf(UnsupportedFeatureException.class);

        assertThat(handler.errors()).isEmpty();
    }

    private static ChatRequest.Builder question() {
        return ChatRequest.builder().messages(UserMessage.from("Is it so?"));
    }

    @Test
    void timeoutStopsTheDecode() throws Exception {
        ScriptedEngine endless = ScriptedEngine.endless();
        RecordingListener listener = new RecordingListener();
        SkimStreamingChatModel model = model(endless)
                .timeout(Duration.ofMillis(100))
                .listeners(List.of(listener))
                .build();
        RecordingHandler handler = new RecordingHandler();

        model.chat("A story", handler);

        assertThat(handler.error()).isExactlyInstanceOf(TimeoutException.class).hasMessageContaining("PT0.1S");
        await().until(() -> endless.running() == 0);
        assertThat(handler.errors()).hasSize(1);
        assertThat(handler.isComplete()).isFalse();
        assertThat(listener.errors()).singleElement().isInstanceOf(TimeoutException.class);
    }

    @Test
    void aQuickAnswerBeatsTheTimeout() throws Exception {
        SkimStreamingChatModel model = model(ScriptedEngine.answering("It is so."))
                .timeout(Duration.ofMillis(200))
                .build();
        RecordingHandler handler = new RecordingHandler();
        model.chat("Is it so?", handler);
        handler.response();

        await().pollDelay(Duration.ofMillis(300)).until(() -> true);

        assertThat(handler.errors()).isEmpty();
        assertThat(engine.lastGeneration().isCancelled()).isFalse();
    }

    @Test
    void tellsListenersOfRequestAndResponse() throws Exception {
        RecordingListener listener = new RecordingListener();
        SkimStreamingChatModel model = model(ScriptedEngine.answering("It is so."))
                .listeners(List.of(listener))
                .build();
        RecordingHandler handler = new RecordingHandler();

        model.chat("Is it so?", handler);

        ChatResponse response = handler.response();
        assertThat(listener.requests())
                .singleElement()
                .satisfies(request -> assertThat(request.modelName()).isEqualTo(ScriptedEngine.MODEL));
        assertThat(listener.responses()).containsExactly(response);
        assertThat(listener.errors()).isEmpty();
    }

    @Test
    void tenStreamsEachGetTheirOwnAnswer() throws Exception {
        SkimStreamingChatModel model = model(ScriptedEngine.of(messages ->
                        ScriptedEngine.words("You said: " + messages.get(0).content())))
                .build();
        Map<String, RecordingHandler> handlers = new HashMap<>();
        for (int i = 0; i < 10; i++) {
            RecordingHandler handler = new RecordingHandler();
            handlers.put("question " + i, handler);
            model.chat("question " + i, handler);
        }

        for (Map.Entry<String, RecordingHandler> entry : handlers.entrySet()) {
            String expected = "You said: " + entry.getKey();
            assertThat(entry.getValue().response().aiMessage().text()).isEqualTo(expected);
            assertThat(String.join("", entry.getValue().pieces())).isEqualTo(expected);
            assertThat(entry.getValue().threads())
                    .containsOnly(entry.getValue().threads().get(0));
        }
    }

    @Test
    void closeLeavesAGivenEngineOpen() {
        model(ScriptedEngine.answering("It is so.")).build().close();

        assertThat(engine.isClosed()).isFalse();
    }

    @Test
    void aClosedEngineFailsTheRequest() throws Exception {
        SkimStreamingChatModel model =
                model(ScriptedEngine.answering("It is so.")).build();
        engine.close();
        RecordingHandler handler = new RecordingHandler();

        model.chat("Is it so?", handler);

        assertThat(handler.error()).isExactlyInstanceOf(InternalServerException.class);
    }
}
