package io.github.skim4j.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.backend.BackendException;
import io.github.skim4j.engine.chat.ChatMessage;
import io.github.skim4j.engine.chat.ChatTemplateException;
import io.github.skim4j.engine.kv.KvCacheConfig;
import io.github.skim4j.engine.model.ModelFormatException;
import io.github.skim4j.engine.model.ModelNotFoundException;
import io.github.skim4j.engine.model.WeightFormat;
import java.io.IOException;
import java.net.URISyntaxException;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The whole way from a request to its text, on tiny models whose answers transformers gave. */
@Timeout(120)
class EngineTest {

    private static final String MODEL = "qwen3";
    private static final KvCacheConfig F32_KV = new KvCacheConfig(16, KvCacheConfig.KvType.F32, 1 << 20);

    private static Path model(String name) {
        URL url = EngineTest.class.getResource("/goldens/models/" + name + "/config.json");
        try {
            return Path.of(url.toURI()).getParent();
        } catch (URISyntaxException e) {
            throw new IllegalStateException(e);
        }
    }

    private static Engine open(String name) {
        return Engine.open(config(name).build());
    }

    private static EngineConfig.Builder config(String name) {
        return EngineConfig.builder(model(name).toString())
                .device("cpu")
                .threads(2)
                .kvCache(F32_KV);
    }

    private static GenerationRequest.Builder tokens(List<Integer> ids) {
        return GenerationRequest.of(new GenerationRequest.Tokens(ids));
    }

    private static GenerationResult run(Engine engine, GenerationRequest request) throws Exception {
        return engine.generate(request, new GenerationListener() {}).result().get(60, TimeUnit.SECONDS);
    }

    private static List<Integer> ids(JsonNode node) {
        return StreamSupport.stream(node.spliterator(), false)
                .map(JsonNode::asInt)
                .toList();
    }

    private static List<Integer> randomPrompt(long seed, int length) {
        return new Random(seed).ints(length, 3, 250).boxed().toList();
    }

    @ParameterizedTest
    @ValueSource(strings = {"llama-tied", "llama-rope-llama3", "mistral", "qwen2", "qwen3"})
    void continuesAsTransformersDoes(String name) throws Exception {
        JsonNode golden =
                new ObjectMapper().readTree(model(name).resolve("goldens.json").toFile());
        List<Integer> expected = ids(golden.get("continuation"));
        try (Engine engine = open(name)) {
            GenerationResult result = run(
                    engine,
                    tokens(ids(golden.get("prompt")))
                            .maxOutputTokens(expected.size())
                            .build());
            // The goldens go on past the end of a turn, which ends an answer.
            assertThat(result.tokens())
                    .isEqualTo(expected.subList(0, result.tokens().size()));
            assertThat(result.generatedTokens())
                    .isEqualTo(
                            result.finishReason() == FinishReason.LENGTH
                                    ? 16
                                    : result.tokens().size() + 1);
        }
    }

    @Test
    void streamsWhatItReturns() throws Exception {
        try (Engine engine = open(MODEL)) {
            StringBuilder streamed = new StringBuilder();
            GenerationResult result = engine.generate(
                            GenerationRequest.chat(List.of(ChatMessage.user("hello, wörld 🌍")))
                                    .maxOutputTokens(60)
                                    .sampling(new SamplingParameters(1.2, 0, 1, 0, 1, 0, 0, 5L))
                                    .build(),
                            new GenerationListener() {
                                @Override
                                public void onText(String piece) {
                                    streamed.append(piece);
                                }
                            })
                    .result()
                    .get(60, TimeUnit.SECONDS);
            assertThat(streamed.toString()).isEqualTo(result.text()).isNotEmpty();
            assertThat(result.text())
                    .isEqualTo(engine.tokenizer()
                            .decode(result.tokens().stream()
                                    .mapToInt(Integer::intValue)
                                    .toArray()));
            assertThat(result.promptTokens())
                    .isGreaterThan(engine.countTokens(List.of(ChatMessage.user("hello, wörld 🌍"))));
            assertThat(result.timeToFirstToken()).isPositive().isLessThanOrEqualTo(result.totalTime());
        }
    }

    @Test
    void theSameSeedGivesTheSameTextAloneAndInABatch() throws Exception {
        SamplingParameters sampling = new SamplingParameters(1, 0, 0.95, 0, 1.1, 0, 0, 99L);
        try (Engine engine = open(MODEL)) {
            GenerationRequest request = tokens(randomPrompt(1, 40))
                    .sampling(sampling)
                    .maxOutputTokens(30)
                    .build();
            List<Integer> alone = run(engine, request).tokens();
            List<Generation> others = IntStream.range(2, 7)
                    .mapToObj(seed -> engine.generate(
                            tokens(randomPrompt(seed, 15 * seed))
                                    .maxOutputTokens(20)
                                    .build(),
                            new GenerationListener() {}))
                    .toList();
            assertThat(run(engine, request).tokens()).isEqualTo(alone);
            for (Generation other : others) {
                other.result().get(60, TimeUnit.SECONDS);
            }
            assertThat(run(
                                    engine,
                                    tokens(randomPrompt(1, 40))
                                            .sampling(new SamplingParameters(1, 0, 0.95, 0, 1.1, 0, 0, 98L))
                                            .maxOutputTokens(30)
                                            .build())
                            .tokens())
                    .isNotEqualTo(alone);
            assertThat(engine.stats().pagesFree()).isEqualTo(engine.stats().pagesTotal());
        }
    }

    @Test
    void aStopSequenceEndsTheAnswerBeforeIt() throws Exception {
        try (Engine engine = open("llama-tied")) {
            GenerationRequest.Builder request = tokens(randomPrompt(7, 30)).maxOutputTokens(40);
            GenerationResult whole = run(engine, request.build());
            String stop = whole.text().substring(10, 13);
            GenerationResult cut =
                    run(engine, request.stopSequences(List.of(stop)).build());
            assertThat(cut.text())
                    .isEqualTo(whole.text().substring(0, whole.text().indexOf(stop)));
            assertThat(cut.finishReason()).isEqualTo(FinishReason.STOP);
        }
    }

    @Test
    void aChunkedPromptAndAnyPageSizeGiveTheSameAnswer() throws Exception {
        List<Integer> expected = null;
        for (int pageSize : new int[] {8, 16, 64}) {
            for (int chunk : new int[] {512, 33, 1}) {
                EngineConfig config = config("mistral")
                        .kvCache(new KvCacheConfig(pageSize, KvCacheConfig.KvType.F32, 1 << 20))
                        .scheduler(new SchedulerConfig(4, chunk, 10))
                        .build();
                try (Engine engine = Engine.open(config)) {
                    List<Integer> tokens = run(
                                    engine,
                                    tokens(randomPrompt(11, 100))
                                            .maxOutputTokens(20)
                                            .build())
                            .tokens();
                    expected = expected == null ? tokens : expected;
                    assertThat(tokens)
                            .as("page size %s, chunk %s", pageSize, chunk)
                            .isEqualTo(expected);
                }
            }
        }
    }

    @Test
    void streamingLlmReadsItsBudgetAndAnAmpleBudgetChangesNothing() throws Exception {
        try (Engine engine = open("llama-tied")) {
            GenerationRequest.Builder request = tokens(randomPrompt(3, 120)).maxOutputTokens(30);
            GenerationResult dense = run(engine, request.build());
            GenerationResult ample = run(
                    engine,
                    request.attention(AttentionMethod.parse("streaming-llm:budget=1000"))
                            .build());
            assertThat(ample.tokens()).isEqualTo(dense.tokens());
            assertThat(ample.attention().density()).isEqualTo(1);
            GenerationResult sparse = run(
                    engine,
                    request.attention(AttentionMethod.parse("streaming-llm:budget=32"))
                            .denseTokens(100)
                            .build());
            assertThat(sparse.attention().density()).isBetween(0.2, 0.32);
            assertThat(sparse.attention().tokensEvicted())
                    .isEqualTo(sparse.tokens().size() - 1 + 120 - 32);
            assertThat(dense.attention().density()).isEqualTo(1);
            assertThat(engine.stats().attention().tokensEvicted())
                    .isEqualTo(sparse.attention().tokensEvicted());
            assertThat(engine.stats().pagesFree()).isEqualTo(engine.stats().pagesTotal());
        }
    }

    @Test
    void minContextKeepsShortSequencesDense() throws Exception {
        EngineConfig config = config("llama-tied")
                .attention(AttentionMethod.parse("streaming-llm:budget=32"))
                .minContext(200)
                .build();
        try (Engine engine = Engine.open(config)) {
            GenerationResult result =
                    run(engine, tokens(randomPrompt(3, 120)).maxOutputTokens(30).build());
            assertThat(result.attention()).isEqualTo(AttentionStats.NONE);
        }
    }

    @Test
    void weightsCanBeQuantisedWhileLoading() throws Exception {
        GenerationRequest request =
                tokens(randomPrompt(3, 50)).maxOutputTokens(10).build();
        for (WeightFormat format : WeightFormat.values()) {
            try (Engine engine =
                    Engine.open(config("llama-tied").weights(format).build())) {
                assertThat(run(engine, request).tokens()).hasSizeBetween(0, 10);
            }
        }
    }

    @Test
    void saysWhichLimitAPromptHits() {
        try (Engine engine = Engine.open(config(MODEL).contextLength(64).build())) {
            assertThatThrownBy(() -> run(engine, tokens(randomPrompt(1, 64)).build()))
                    .isInstanceOf(ContextLengthExceededException.class)
                    .hasMessageContaining("64 tokens")
                    .hasMessageContaining("context-length");
            assertThatThrownBy(() -> run(engine, tokens(List.of(100_000)).build()))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("100000");
            assertThatThrownBy(() -> run(engine, tokens(List.of()).build()))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("empty");
        }
    }

    @Test
    void theAnswerEndsWhereTheContextDoes() throws Exception {
        try (Engine engine = Engine.open(config("llama-tied").contextLength(64).build())) {
            GenerationResult result =
                    run(engine, tokens(randomPrompt(1, 60)).maxOutputTokens(50).build());
            assertThat(result.finishReason()).isEqualTo(FinishReason.LENGTH);
            assertThat(result.generatedTokens()).isEqualTo(4);
        }
    }

    @Test
    void aModelWithoutATemplateStillContinuesText(@TempDir Path folder) throws Exception {
        copy(model(MODEL), folder);
        Path tokenizerConfig = folder.resolve("tokenizer_config.json");
        Files.writeString(tokenizerConfig, "{}");
        try (Engine engine = Engine.open(
                EngineConfig.builder(folder.toString()).kvCache(F32_KV).build())) {
            assertThatThrownBy(() -> run(
                            engine,
                            GenerationRequest.chat(List.of(ChatMessage.user("hi")))
                                    .build()))
                    .isInstanceOf(ChatTemplateException.class)
                    .hasMessageContaining("chat-template");
            assertThat(run(
                                    engine,
                                    GenerationRequest.text("hi")
                                            .maxOutputTokens(3)
                                            .build())
                            .promptTokens())
                    .isPositive();
        }
        try (Engine engine = Engine.open(EngineConfig.builder(folder.toString())
                .kvCache(F32_KV)
                .chatTemplate("{% for m in messages %}{{ m.content }}{% endfor %}")
                .build())) {
            assertThat(engine.countTokens(List.of(ChatMessage.user("hi")))).isEqualTo(2);
        }
    }

    @Test
    void badSettingsAreNamed(@TempDir Path folder) throws Exception {
        assertThatThrownBy(() -> EngineConfig.builder(" ").build()).hasMessageContaining("no model is set");
        assertThatThrownBy(
                        () -> Engine.open(config(MODEL).contextLength(1 << 20).build()))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("context-length is 1048576");
        assertThatThrownBy(() -> Engine.open(config(MODEL).device("abacus").build()))
                .isInstanceOf(BackendException.class)
                .hasMessageContaining("'abacus'")
                .hasMessageContaining("cpu");
        assertThatThrownBy(() -> Engine.open(config(MODEL).device("cpu:x").build()))
                .isInstanceOf(BackendException.class);
        assertThatThrownBy(() ->
                        Engine.open(EngineConfig.builder("./no/such/model").build()))
                .isInstanceOf(ModelNotFoundException.class)
                .hasMessageContaining("./no/such/model");
        copy(model(MODEL), folder);
        byte[] weights = Files.readAllBytes(folder.resolve("model.safetensors"));
        Files.write(folder.resolve("model.safetensors"), Arrays.copyOf(weights, weights.length - 100));
        assertThatThrownBy(() ->
                        Engine.open(EngineConfig.builder(folder.toString()).build()))
                .isInstanceOf(ModelFormatException.class)
                .hasMessageContaining("model.safetensors");
    }

    @Test
    void aClosedEngineRefuses() {
        Engine engine = open(MODEL);
        engine.close();
        engine.close();
        assertThatThrownBy(() -> run(engine, tokens(randomPrompt(1, 5)).build()))
                .isInstanceOf(EngineClosedException.class);
        assertThat(engine.stats().failure()).contains("closed");
    }

    @Test
    void closingLeavesNoThread() throws Exception {
        for (int i = 0; i < 3; i++) {
            try (Engine engine = open(MODEL)) {
                run(engine, tokens(randomPrompt(i, 20)).maxOutputTokens(5).build());
            }
        }
        List<String> left = new ArrayList<>();
        for (int i = 0; i < 50; i++) {
            left = Thread.getAllStackTraces().keySet().stream()
                    .map(Thread::getName)
                    .filter(name -> name.startsWith("skim-"))
                    .toList();
            if (left.isEmpty()) {
                break;
            }
            Thread.sleep(20);
        }
        assertThat(left).isEmpty();
    }

    private static void copy(Path from, Path to) throws IOException {
        try (var files = Files.list(from)) {
            for (Path file : files.toList()) {
                Files.copy(file, to.resolve(file.getFileName()));
            }
        }
    }
}
