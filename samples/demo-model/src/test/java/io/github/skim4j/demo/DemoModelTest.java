package io.github.skim4j.demo;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.skim4j.engine.Engine;
import io.github.skim4j.engine.EngineConfig;
import io.github.skim4j.engine.GenerationListener;
import io.github.skim4j.engine.GenerationRequest;
import io.github.skim4j.engine.GenerationResult;
import io.github.skim4j.engine.attention.Dense;
import io.github.skim4j.engine.backend.Backend;
import io.github.skim4j.engine.backend.BackendConfig;
import io.github.skim4j.engine.backend.BackendProvider;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.chat.ChatMessage;
import io.github.skim4j.engine.kv.KvCacheConfig;
import io.github.skim4j.engine.kv.KvSequence;
import io.github.skim4j.engine.kv.PagePool;
import io.github.skim4j.engine.model.ModelFile;
import io.github.skim4j.engine.model.WeightFormat;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.ServiceLoader;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The artifact against the reference values that {@code training/goldens.py} computed from the unquantised weights. */
class DemoModelTest {

    private static final String MARKER = "META-INF/skim/default-model";

    /** What Q8_0 weights and a BF16 KV cache may move a logit by. */
    private static final float LOGIT_TOLERANCE = 0.2f;

    private static Engine engine;

    /** One line of {@code goldens.jsonl}. */
    record Golden(JsonNode fields) {

        String prompt() {
            return fields.get("prompt").asText();
        }

        int[] promptIds() {
            return ints(fields.get("prompt_ids"));
        }

        List<ChatMessage> messages() {
            List<ChatMessage> messages = new ArrayList<>();
            for (JsonNode message : fields.get("messages")) {
                messages.add(new ChatMessage(
                        message.get("role").asText(), message.get("content").asText(), Map.of()));
            }
            return messages;
        }

        private static int[] ints(JsonNode array) {
            int[] values = new int[array.size()];
            for (int i = 0; i < values.length; i++) {
                values[i] = array.get(i).asInt();
            }
            return values;
        }

        @Override
        public String toString() {
            return fields.get("name").asText();
        }
    }

    static Stream<Golden> goldens() throws IOException {
        ObjectMapper json = new ObjectMapper();
        List<Golden> goldens = new ArrayList<>();
        try (BufferedReader reader =
                new BufferedReader(new InputStreamReader(resource("goldens.jsonl"), StandardCharsets.UTF_8))) {
            for (String line = reader.readLine(); line != null; line = reader.readLine()) {
                goldens.add(new Golden(json.readTree(line)));
            }
        }
        return goldens.stream();
    }

    @BeforeAll
    static void open() throws IOException {
        engine = Engine.open(
                EngineConfig.builder(reference()).contextLength(1024).build());
    }

    @AfterAll
    static void close() {
        engine.close();
    }

    @ParameterizedTest
    @MethodSource("goldens")
    void tokenisesAsTheReference(Golden golden) {
        assertThat(engine.tokenizer().encode(golden.prompt())).isEqualTo(golden.promptIds());
    }

    @ParameterizedTest
    @MethodSource("goldens")
    void answersAsTheReference(Golden golden) {
        GenerationResult result = engine.generate(
                        GenerationRequest.chat(golden.messages()).build(), new GenerationListener() {})
                .result()
                .join();

        assertThat(result.text()).isEqualTo(golden.fields().get("answer_text").asText());
        assertThat(result.promptTokens()).isEqualTo(golden.promptIds().length);
    }

    @Test
    void givesTheReferencesLogits(@TempDir Path folder) throws IOException {
        Path file = folder.resolve("model.gguf");
        try (InputStream in = resource(reference().substring("classpath:".length()))) {
            Files.copy(in, file);
        }
        try (ModelFile model = ModelFile.open(file);
                Backend backend = cpu().open(
                                model,
                                new BackendConfig(
                                        0,
                                        0,
                                        1024,
                                        1,
                                        1024,
                                        KvCacheConfig.DEFAULT,
                                        WeightFormat.AS_STORED,
                                        new Dense(),
                                        0))) {
            for (Golden golden : goldens().toList()) {
                float[] logits = lastLogits(backend, golden.promptIds());
                for (JsonNode top : golden.fields().get("top10_next")) {
                    assertThat(logits[top.get(0).asInt()])
                            .as("logit of token %s after %s", top.get(0), golden)
                            .isCloseTo((float) top.get(1).asDouble(), within(LOGIT_TOLERANCE));
                }
            }
        }
    }

    @Test
    void isSmall() throws IOException {
        try (InputStream in = resource(reference().substring("classpath:".length()))) {
            assertThat(in.readAllBytes().length).isLessThanOrEqualTo(20_000_000);
        }
    }

    private static float[] lastLogits(Backend backend, int[] ids) {
        int pageSize = KvCacheConfig.DEFAULT.pageSize();
        try (KvSequence sequence = new KvSequence(new PagePool(backend.pages()), pageSize)) {
            assertThat(sequence.reserve(ids.length)).isTrue();
            Span span = new Span(sequence, ids, 0, ids.length, new Dense(), Span.Logits.LAST);
            return backend.forward(List.of(span)).get(0).logits()[0];
        }
    }

    private static BackendProvider cpu() {
        return ServiceLoader.load(BackendProvider.class).stream()
                .map(ServiceLoader.Provider::get)
                .filter(provider -> provider.name().equals("cpu"))
                .findFirst()
                .orElseThrow();
    }

    private static String reference() throws IOException {
        try (InputStream in = resource(MARKER)) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8).trim();
        }
    }

    private static InputStream resource(String name) {
        InputStream in = DemoModelTest.class.getClassLoader().getResourceAsStream(name);
        assertThat(in).as(name).isNotNull();
        return in;
    }
}
