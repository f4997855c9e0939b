package io.github.skim4j.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.skim4j.cuda.Sequences.Feed;
import io.github.skim4j.engine.backend.Backend.SpanResult;
import io.github.skim4j.engine.backend.BackendException;
import io.github.skim4j.engine.backend.DeviceMemoryException;
import io.github.skim4j.engine.backend.Span.Logits;
import io.github.skim4j.engine.backend.TokenDraw;
import io.github.skim4j.engine.backend.cpu.CpuBackendProvider;
import io.github.skim4j.engine.backend.cpu.RandomModels;
import io.github.skim4j.engine.kv.KvCacheConfig;
import io.github.skim4j.engine.kv.KvCacheConfig.KvType;
import io.github.skim4j.engine.model.ModelConfig;
import io.github.skim4j.engine.model.ModelWeights;
import io.github.skim4j.engine.model.TensorType;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The GPU against the CPU, on random models of all architecture flags. */
@Tag("gpu")
class CudaBackendTest {

    private static final long MEMORY = 64L << 20;

    private static KvCacheConfig kv(Random random, KvType type) {
        return new KvCacheConfig(RandomModels.pick(random, List.of(16, 32, 64)), type, MEMORY, false);
    }

    private static int[] tokens(Random random, ModelConfig config, int count) {
        return random.ints(count, 0, config.vocabSize()).toArray();
    }

    /** ‖actual - expected‖ / ‖expected‖, over all rows. */
    private static double error(float[][] actual, float[][] expected) {
        double difference = 0;
        double norm = 0;
        for (int row = 0; row < expected.length; row++) {
            for (int i = 0; i < expected[row].length; i++) {
                difference += Math.pow((double) actual[row][i] - expected[row][i], 2);
                norm += Math.pow(expected[row][i], 2);
            }
        }
        return Math.sqrt(difference / norm);
    }

    static double error(float[] actual, float[] expected) {
        return error(new float[][] {actual}, new float[][] {expected});
    }

    private static void assertClose(float[][] actual, float[][] expected, double tolerance, String what) {
        assertThat(actual).as(what).hasDimensions(expected.length, expected[0].length);
        // NaN is not less.
        assertThat(error(actual, expected)).as(what).isLessThan(tolerance);
    }

    private static int block(TensorType type) {
        return type.blockSize() > 32 ? 256 : 32;
    }

    /** Chunks and single tokens of several sequences side by side, in the same steps on both backends. */
    private static void compare(Random random, ModelWeights weights, KvType type, double tolerance, String what) {
        ModelConfig config = weights.config();
        KvCacheConfig gpuKv = kv(random, type);
        KvCacheConfig cpuKv =
                new KvCacheConfig(gpuKv.pageSize(), type == KvType.BF16 ? KvType.BF16 : KvType.F32, 4 * MEMORY, false);
        try (Sequences gpu = new Sequences(new CudaBackendProvider(), weights, gpuKv);
                Sequences cpu = new Sequences(new CpuBackendProvider(), weights, cpuKv)) {
            int count = 1 + random.nextInt(4);
            for (int step = 0; step < 6; step++) {
                List<Feed> feeds = new ArrayList<>();
                for (int s = 0; s < count; s++) {
                    int size = step >= 3 || random.nextInt(4) == 0 ? 1 : 1 + random.nextInt(110);
                    feeds.add(new Feed(s, tokens(random, config, size)));
                }
                List<SpanResult> actual = gpu.step(Logits.ALL, feeds);
                List<SpanResult> expected = cpu.step(Logits.ALL, feeds);
                for (int s = 0; s < count; s++) {
                    assertClose(
                            actual.get(s).logits(),
                            expected.get(s).logits(),
                            tolerance,
                            what + ", step " + step + ", sequence " + s + ", " + config);
                }
            }
        }
    }

    /** With 16-bit floats in the cache, which hide the least. */
    @ParameterizedTest
    @EnumSource(TensorType.class)
    void logitsAgreeWithTheCpuForEveryTypeOfWeights(TensorType type) {
        // What the CPU computes on as stored and the GPU has no kernels for is rounded to 8 bits.
        boolean rounded =
                EnumSet.of(TensorType.Q5_0, TensorType.Q5_1, TensorType.Q5_K).contains(type);
        for (int seed = 0; seed < 4; seed++) {
            Random random = new Random(1000 * type.ordinal() + seed);
            ModelConfig config = RandomModels.config(random, block(type), Sequences.CONTEXT);
            ModelWeights weights = RandomModels.weights(config, type, random);
            // Random blocks of Q2_K have a mean far from zero, against which what tells tokens apart is small.
            double tolerance = type == TensorType.Q2_K ? 0.1 : rounded ? 3e-2 : 5e-3;
            compare(random, weights, KvType.F16, tolerance, type + ", seed " + seed);
        }
    }

    @ParameterizedTest
    @EnumSource(value = KvType.class, names = "F32", mode = EnumSource.Mode.EXCLUDE)
    void logitsAgreeWithTheCpuForEveryKvType(KvType type) {
        double tolerance = switch (type) {
            case FP8 -> 0.12;
            case INT8 -> 0.03;
            case F16 -> 0.005;
            default -> 0.01;
        };
        for (int seed = 0; seed < 10; seed++) {
            Random random = new Random(77 + seed);
            ModelConfig config = RandomModels.config(random, 32, Sequences.CONTEXT);
            ModelWeights weights = RandomModels.weights(config, TensorType.F16, random);
            compare(random, weights, type, tolerance, type + ", seed " + seed);
        }
    }

    @Test
    void aBatchGivesEachSequenceWhatItGetsAlone() {
        for (int seed = 0; seed < 4; seed++) {
            Random random = new Random(seed);
            ModelConfig config = RandomModels.config(random, 32, Sequences.CONTEXT);
            ModelWeights weights = RandomModels.weights(config, TensorType.Q4_0, random);
            KvCacheConfig kv = new KvCacheConfig(16, KvType.BF16, 4 * MEMORY, false);
            int batch = List.of(2, 7, 33, 64).get(seed);
            int[][] prompts = new int[batch][];
            int[][] answers = new int[batch][];
            for (int s = 0; s < batch; s++) {
                // Some are attended in several parts.
                prompts[s] = tokens(random, config, 1 + random.nextInt(s % 4 == 1 ? 500 : 60));
                answers[s] = tokens(random, config, 3);
            }
            try (Sequences sequences = new Sequences(new CudaBackendProvider(), weights, kv)) {
                float[][][] alone = new float[batch][][];
                for (int s = 0; s < batch; s++) {
                    sequences.feed(0, prompts[s]);
                    alone[s] = new float[3][];
                    for (int t = 0; t < 3; t++) {
                        alone[s][t] = sequences.feed(0, answers[s][t])[0];
                    }
                    sequences.clear(0);
                }
                for (int s = 0; s < batch; s++) {
                    sequences.feed(s, prompts[s]);
                }
                for (int t = 0; t < 3; t++) {
                    int token = t;
                    List<SpanResult> together = sequences.step(
                            Logits.LAST,
                            IntStream.range(0, batch)
                                    .mapToObj(s -> new Feed(s, new int[] {answers[s][token]}))
                                    .toList());
                    for (int s = 0; s < batch; s++) {
                        assertThat(together.get(s).logits()[0])
                                .as("seed %s, sequence %s of %s, token %s", seed, s, batch, t)
                                .isEqualTo(alone[s][t]);
                    }
                }
            }
        }
    }

    @Test
    void graphsReplayAcrossPagesAndParts() {
        Random random = new Random(5);
        ModelConfig config = RandomModels.config(random, 32, Sequences.CONTEXT);
        ModelWeights weights = RandomModels.weights(config, TensorType.F16, random);
        KvCacheConfig kv = new KvCacheConfig(16, KvType.BF16, MEMORY, false);
        int[] tokens = tokens(random, config, 300);
        try (Sequences sequences = new Sequences(new CudaBackendProvider(), weights, kv)) {
            float[][] whole = sequences.feed(0, tokens);
            for (int t = 0; t < tokens.length; t++) {
                float[] one = sequences.feed(1, tokens[t])[0];
                assertThat(error(one, whole[t])).as("token %s, %s", t, config).isLessThan(1e-2);
            }
        }
    }

    /** Draws that differ from {@code draw} by what rounding may do to sums and weights. */
    private static Stream<TokenDraw> neighbours(TokenDraw draw) {
        double slack = 1e-5;
        return Stream.of(
                draw,
                new TokenDraw(
                        draw.temperature(), draw.topK(), draw.topP(), draw.minP(), Math.max(0, draw.uniform() - slack)),
                new TokenDraw(
                        draw.temperature(),
                        draw.topK(),
                        draw.topP(),
                        draw.minP(),
                        Math.min(Math.nextDown(1.0), draw.uniform() + slack)),
                new TokenDraw(draw.temperature(), draw.topK(), draw.topP() - slack, draw.minP(), draw.uniform()),
                new TokenDraw(
                        draw.temperature(), draw.topK(), Math.min(1, draw.topP() + slack), draw.minP(), draw.uniform()),
                new TokenDraw(draw.temperature(), draw.topK(), draw.topP(), draw.minP() * (1 - slack), draw.uniform()),
                new TokenDraw(draw.temperature(), draw.topK(), draw.topP(), draw.minP() * (1 + slack), draw.uniform()));
    }

    private static TokenDraw draw(Random random) {
        return new TokenDraw(
                random.nextInt(5) == 0 ? 0 : 0.2 + 1.5 * random.nextDouble(),
                random.nextBoolean() ? 0 : 1 + random.nextInt(60),
                random.nextBoolean() ? 1 : 0.2 + 0.75 * random.nextDouble(),
                random.nextBoolean() ? 0 : 0.2 * random.nextDouble(),
                random.nextDouble());
    }

    /** Single tokens and chunks, since each have a path of their own. */
    @Test
    void drawsTheTokensThatTheLogitsSay() {
        Random random = new Random(6);
        ModelConfig config = RandomModels.config(random, 32, Sequences.CONTEXT);
        ModelWeights weights = RandomModels.weights(config, TensorType.Q8_0, random);
        int exact = 0;
        int count = 100;
        try (Sequences sequences =
                new Sequences(new CudaBackendProvider(), weights, new KvCacheConfig(16, KvType.BF16, MEMORY, false))) {
            for (int i = 0; i < count; i++) {
                int size = i % 2 == 0 ? 1 : 2 + random.nextInt(20);
                List<Feed> feeds =
                        List.of(new Feed(0, tokens(random, config, size)), new Feed(1, tokens(random, config, size)));
                TokenDraw draw = draw(random);
                List<Integer> drawn = sequences.draw(draw, feeds);
                sequences.clear(0);
                sequences.clear(1);
                List<SpanResult> logits = sequences.step(Logits.LAST, feeds);
                sequences.clear(0);
                sequences.clear(1);
                for (int s = 0; s < 2; s++) {
                    float[] row = logits.get(s).logits()[0];
                    exact += draw.pick(row) == drawn.get(s) ? 1 : 0;
                    assertThat(drawn.get(s))
                            .as("%s, feed %s", draw, i)
                            .isIn(neighbours(draw).map(near -> near.pick(row)).toList());
                }
            }
        }
        assertThat(exact).isGreaterThan(2 * count * 98 / 100);
    }

    @Test
    void aDrawDoesNotDependOnTheBatch() {
        Random random = new Random(7);
        ModelConfig config = RandomModels.config(random, 32, Sequences.CONTEXT);
        ModelWeights weights = RandomModels.weights(config, TensorType.Q4_0, random);
        TokenDraw draw = new TokenDraw(1.5, 0, 0.95, 0.001, 0.4321);
        try (Sequences sequences =
                new Sequences(new CudaBackendProvider(), weights, new KvCacheConfig(16, KvType.BF16, MEMORY, false))) {
            List<Feed> feeds = IntStream.range(0, 33)
                    .mapToObj(s -> new Feed(s, tokens(random, config, 1)))
                    .toList();
            List<Integer> together = sequences.draw(draw, feeds);
            for (Feed feed : feeds) {
                sequences.clear(feed.sequence());
                assertThat(sequences.draw(draw, List.of(feed))).containsExactly(together.get(feed.sequence()));
            }
        }
    }

    @Test
    void closingReturnsAllDeviceMemory() {
        Random random = new Random(8);
        ModelConfig config = RandomModels.config(random, 32, Sequences.CONTEXT);
        ModelWeights weights = RandomModels.weights(config, TensorType.Q4_0, random);
        KvCacheConfig kv = new KvCacheConfig(16, KvType.BF16, 256L << 20, false);
        try (CudaDevice witness = new CudaDevice(0)) {
            long before = 0;
            for (int i = 0; i < 4; i++) {
                try (Sequences sequences = new Sequences(new CudaBackendProvider(), weights, kv)) {
                    sequences.feed(0, tokens(random, config, 40));
                    sequences.feed(0, 1);
                    witness.current();
                    assertThat(i == 0 || witness.freeMemory() < before - (256L << 20))
                            .isTrue();
                }
                witness.current();
                // The first run leaves what the driver keeps for the process.
                before = i == 0 ? witness.freeMemory() : before;
                assertThat(witness.freeMemory()).isEqualTo(before);
            }
        }
    }

    @Test
    void tellsWhatToDoWhenMemoryIsTooSmall() {
        Random random = new Random(9);
        ModelConfig config = RandomModels.config(random, 32, Sequences.CONTEXT);
        ModelWeights weights = RandomModels.weights(config, TensorType.Q4_0, random);
        KvCacheConfig kv = new KvCacheConfig(16, KvType.BF16, 1L << 42, false);
        assertThatThrownBy(() -> new Sequences(new CudaBackendProvider(), weights, kv).close())
                .isInstanceOf(DeviceMemoryException.class)
                .hasMessageContaining("the KV cache")
                .hasMessageContaining("were asked for")
                .hasMessageContaining("are free")
                .hasMessageContaining("kv-cache.memory");
    }

    @Test
    void aFaultIsAnExceptionThatNamesTheCallAndTheBackendStillCloses() throws Exception {
        Process process = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "--add-modules",
                        "jdk.incubator.vector",
                        "-cp",
                        System.getProperty("java.class.path"),
                        FaultyStep.class.getName())
                .redirectError(ProcessBuilder.Redirect.DISCARD)
                .start();
        String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(process.waitFor()).as(out).isZero();
        assertThat(out)
                .contains("cuStreamSynchronize failed: CUDA_ERROR_ILLEGAL_ADDRESS")
                .endsWith("closed\n");
    }

    @Test
    void refusesTokensOutsideTheVocabulary() {
        Random random = new Random(11);
        ModelConfig config = RandomModels.config(random, 32, Sequences.CONTEXT);
        ModelWeights weights = RandomModels.weights(config, TensorType.Q4_0, random);
        try (Sequences sequences =
                new Sequences(new CudaBackendProvider(), weights, new KvCacheConfig(16, KvType.BF16, MEMORY, false))) {
            assertThatThrownBy(() -> sequences.feed(0, config.vocabSize()))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("vocabulary of " + config.vocabSize());
            assertThatThrownBy(() -> sequences.feed(0, -1)).isInstanceOf(IllegalArgumentException.class);
        }
    }

    @Test
    void refusesWhatItHasNoKernelsFor() {
        Random random = new Random(10);
        ModelConfig config = RandomModels.config(random, 32, Sequences.CONTEXT);
        ModelWeights weights = RandomModels.weights(config, TensorType.Q4_0, random);
        assertThatThrownBy(() -> new Sequences(
                                new CudaBackendProvider(), weights, new KvCacheConfig(16, KvType.F32, MEMORY, false))
                        .close())
                .isInstanceOf(BackendException.class)
                .hasMessageContaining("kv-cache.type f32");
        assertThatThrownBy(() -> new Sequences(
                                new CudaBackendProvider(), weights, new KvCacheConfig(8, KvType.BF16, MEMORY, false))
                        .close())
                .isInstanceOf(BackendException.class)
                .hasMessageContaining("kv-cache.page-size");
    }
}
