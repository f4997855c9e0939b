package io.github.skim4j.engine.golden;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.skim4j.engine.model.GgufConverter;
import io.github.skim4j.engine.model.ModelFile;
import io.github.skim4j.engine.model.ModelWeights;
import io.github.skim4j.engine.model.TensorType;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Tiny random models of every architecture and RoPE scaling against transformers in float32. */
class GoldenModelsTest {

    private static final ObjectMapper JSON = new ObjectMapper();
    private static final int CONTEXT_LENGTH = 128;
    private static final float TOLERANCE = 1e-3f;

    /** Contents of a goldens.json. */
    record Goldens(int[] prompt, int[] continuation, float[] gaps, List<Row> logits) {

        record Row(int position, float[] values) {}

        int[] tokens() {
            return IntStream.concat(Arrays.stream(prompt), Arrays.stream(continuation))
                    .toArray();
        }
    }

    static Stream<Path> models() throws IOException, URISyntaxException {
        Path folder =
                Path.of(GoldenModelsTest.class.getResource("/goldens/models").toURI());
        try (Stream<Path> entries = Files.list(folder)) {
            return entries.filter(Files::isDirectory).sorted().toList().stream();
        }
    }

    @ParameterizedTest
    @MethodSource("models")
    void logits(Path directory) throws IOException {
        try (ModelFile model = ModelFile.open(directory)) {
            assertLogits(model, goldens(directory));
        }
    }

    @ParameterizedTest
    @MethodSource("models")
    void greedyContinuation(Path directory) throws IOException {
        Goldens goldens = goldens(directory);
        try (ModelFile model = ModelFile.open(directory);
                Runner runner = new Runner(model, CONTEXT_LENGTH)) {
            int[] continuation = new int[goldens.continuation().length];
            float[] logits = runner.append(goldens.prompt());
            for (int i = 0; i < continuation.length; i++) {
                continuation[i] = Runner.argmax(logits);
                logits = runner.append(continuation[i]);
            }
            assertThat(continuation).isEqualTo(goldens.continuation());
        }
    }

    @ParameterizedTest
    @MethodSource("models")
    void logitsAfterConversionToGguf(Path directory, @TempDir Path folder) throws IOException {
        Path gguf = folder.resolve("model.gguf");
        try (ModelFile model = ModelFile.open(directory)) {
            GgufConverter.convert(model, gguf, TensorType.F32);
        }
        try (ModelFile model = ModelFile.open(gguf)) {
            assertLogits(model, goldens(directory));
        }
    }

    private static void assertLogits(ModelWeights model, Goldens goldens) {
        int[] tokens = goldens.tokens();
        float[][] rows = new float[tokens.length][];
        try (Runner runner = new Runner(model, CONTEXT_LENGTH)) {
            runner.appendAll(tokens, (i, logits) -> rows[i] = logits);
        }
        for (Goldens.Row expected : goldens.logits()) {
            assertThat(rows[expected.position()])
                    .as("logits at position %d", expected.position())
                    .containsExactly(expected.values(), within(TOLERANCE));
        }
    }

    private static Goldens goldens(Path directory) throws IOException {
        return JSON.readValue(directory.resolve("goldens.json").toFile(), Goldens.class);
    }
}
