package io.github.skim4j.engine.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.skim4j.engine.AttentionStats;
import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.attention.Budget;
import io.github.skim4j.engine.attention.Dense;
import io.github.skim4j.engine.attention.StreamingLlm;
import io.github.skim4j.engine.backend.Backend.SpanResult;
import io.github.skim4j.engine.backend.BackendConfig;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.backend.Span.Logits;
import io.github.skim4j.engine.kv.KvCacheConfig;
import io.github.skim4j.engine.kv.KvCacheConfig.KvType;
import io.github.skim4j.engine.kv.KvSequence;
import io.github.skim4j.engine.kv.PagePool;
import io.github.skim4j.engine.kv.PrefixCache;
import io.github.skim4j.engine.model.ModelConfig;
import io.github.skim4j.engine.model.ModelWeights;
import io.github.skim4j.engine.model.Quantization;
import io.github.skim4j.engine.model.Rope;
import io.github.skim4j.engine.model.Tensor;
import io.github.skim4j.engine.model.TensorType;
import io.github.skim4j.engine.model.WeightFormat;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class CpuBackendTest {

    private static final int CONTEXT = 600;

    /** A backend with its pool, and what tests do with both. */
    private static final class Fixture implements AutoCloseable {

        final CpuBackend backend;
        final PagePool pool;
        final KvCacheConfig kv;

        Fixture(ModelWeights weights, CpuKernels kernels, int threads, KvCacheConfig kv) {
            this.kv = kv;
            backend = CpuBackend.open(
                    weights,
                    new BackendConfig(0, threads, CONTEXT, 8, 512, kv, WeightFormat.AS_STORED, new Dense(), 0),
                    kernels);
            pool = new PagePool(backend.pages());
        }

        KvSequence sequence() {
            return new KvSequence(pool, kv.pageSize());
        }

        /** Runs one step and advances the sequences. */
        List<SpanResult> step(Span... spans) {
            for (Span span : spans) {
                assertThat(span.sequence().reserve(span.count())).isTrue();
            }
            List<SpanResult> results = backend.forward(List.of(spans));
            for (Span span : spans) {
                span.sequence().advance(span.count());
            }
            return results;
        }

        float[][] all(KvSequence sequence, int... tokens) {
            return step(span(sequence, new Dense(), tokens)).get(0).logits();
        }

        @Override
        public void close() {
            backend.close();
        }
    }

    private static Span span(KvSequence sequence, AttentionMethod method, int... tokens) {
        return new Span(sequence, tokens, 0, tokens.length, method, Logits.ALL);
    }

    private static KvCacheConfig kv(Random random, KvType type) {
        return new KvCacheConfig(RandomModels.pick(random, List.of(8, 16, 32, 64)), type, 0, false);
    }

    private static int[] tokens(Random random, ModelConfig config, int count) {
        return random.ints(count, 0, config.vocabSize()).toArray();
    }

    private static void assertClose(float[] actual, double[] expected, double tolerance, String what) {
        double scale = 1;
        double difference = 0;
        for (int i = 0; i < actual.length; i++) {
            scale = Math.max(scale, Math.abs(expected[i]));
            // Not Math.max, which would be fine too, but NaN must fail.
            difference =
                    Math.abs(actual[i] - expected[i]) <= difference ? difference : Math.abs(actual[i] - expected[i]);
        }
        assertThat(difference / scale).as(what).isLessThan(tolerance);
    }

    private static void assertClose(float[][] actual, double[][] expected, double tolerance, String what) {
        assertThat(actual.length).isEqualTo(expected.length);
        for (int i = 0; i < actual.length; i++) {
            assertClose(actual[i], expected[i], tolerance, what + ", row " + i);
        }
    }

    private static void assertClose(float[][] actual, float[][] expected, double tolerance, String what) {
        double[][] doubles = new double[expected.length][];
        for (int i = 0; i < expected.length; i++) {
            doubles[i] = new double[expected[i].length];
            for (int j = 0; j < expected[i].length; j++) {
                doubles[i][j] = expected[i][j];
            }
        }
        assertClose(actual, doubles, tolerance, what);
    }

    @TestEachKernels
    void agreesWithTheReferenceOnRandomShapes(CpuKernels kernels) {
        for (int seed = 0; seed < 12; seed++) {
            Random random = new Random(seed);
            ModelConfig config = RandomModels.config(random, 32, CONTEXT);
            ModelWeights weights = RandomModels.weights(config, TensorType.F32, random);
            String what = "seed " + seed + ", " + config;
            try (Fixture fixture = new Fixture(weights, kernels, 2, kv(random, KvType.F32))) {
                ReferenceModel.Sequence reference = new ReferenceModel(weights).new Sequence();
                KvSequence sequence = fixture.sequence();
                for (int step = 0; step < 4; step++) {
                    int[] tokens = tokens(random, config, step % 2 == 0 ? 1 + random.nextInt(40) : 1);
                    assertClose(
                            fixture.all(sequence, tokens), reference.forward(tokens), 2e-5, what + ", step " + step);
                }
            }
        }
    }

    @ParameterizedTest
    @EnumSource(TensorType.class)
    void computesOnEveryTensorType(TensorType type) {
        for (CpuKernels kernels : SparseFixture.kernels()) {
            Random random = new Random(type.ordinal());
            ModelConfig config = RandomModels.config(random, Math.max(32, type.blockSize()), CONTEXT);
            ModelWeights weights = RandomModels.weights(config, type, random);
            try (Fixture fixture = new Fixture(weights, kernels, 2, kv(random, KvType.F32))) {
                ReferenceModel.Sequence reference =
                        new ReferenceModel(weights, CpuBackendTest::asComputed).new Sequence();
                KvSequence sequence = fixture.sequence();
                String what = type + ", " + kernels.name() + ", " + config;
                int[] prompt = tokens(random, config, 17);
                assertClose(fixture.all(sequence, prompt), reference.forward(prompt), 2e-5, what);
                assertClose(fixture.all(sequence, 1), reference.forward(1), 2e-5, what);
            }
        }
    }

    /** The values of a tensor after the conversions that loading makes. */
    private static float[] asComputed(Tensor tensor) {
        float[] values = tensor.toFloats();
        switch (tensor.type()) {
            case Q2_K, Q3_K, IQ4_NL, IQ4_XS -> roundTrip(TensorType.Q8_0, values);
            default -> {}
        }
        return values;
    }

    private static void roundTrip(TensorType type, float[] values) {
        byte[] bytes = new byte[(int) type.bytes(values.length)];
        Quantization.quantize(type, values, 0, bytes, 0, values.length);
        Quantization.dequantize(type, bytes, 0, values, 0, values.length);
    }

    @TestEachKernels
    void batchedEqualsSingleBitForBitWhateverTheThreads(CpuKernels kernels) {
        for (int seed = 100; seed < 108; seed++) {
            Random random = new Random(seed);
            TensorType type = RandomModels.pick(
                    random,
                    List.of(TensorType.F32, TensorType.BF16, TensorType.Q8_0, TensorType.Q4_1, TensorType.Q5_0));
            ModelConfig config = RandomModels.config(random, 32, CONTEXT);
            ModelWeights weights = RandomModels.weights(config, type, random);
            KvCacheConfig kv = kv(random, KvType.BF16);
            int[] prompt1 = tokens(random, config, 1 + random.nextInt(60));
            int[] prompt2 = tokens(random, config, 1 + random.nextInt(60));
            try (Fixture single = new Fixture(weights, kernels, 1, kv);
                    Fixture batched = new Fixture(weights, kernels, 3, kv)) {
                KvSequence s1 = single.sequence();
                KvSequence s2 = single.sequence();
                float[][] expected1 = single.all(s1, prompt1);
                float[][] next1 = single.all(s1, 5);
                float[][] expected2 = single.all(s2, prompt2);

                KvSequence b1 = batched.sequence();
                KvSequence b2 = batched.sequence();
                float[][] actual1 = batched.all(b1, prompt1);
                List<SpanResult> both = batched.step(span(b2, new Dense(), prompt2), span(b1, new Dense(), 5));
                String what = "seed " + seed + ", " + type + ", " + config;
                assertThat(actual1).as(what).isDeepEqualTo(expected1);
                assertThat(both.get(0).logits()).as(what).isDeepEqualTo(expected2);
                assertThat(both.get(1).logits()).as(what).isDeepEqualTo(next1);
            }
        }
    }

    @TestEachKernels
    void chunkedPrefillEqualsWhole(CpuKernels kernels) {
        for (int seed = 200; seed < 206; seed++) {
            Random random = new Random(seed);
            ModelConfig config = RandomModels.config(random, 32, CONTEXT);
            if (config.rope().scaling() instanceof Rope.Dynamic) {
                continue; // its angles depend on where the prompt is cut
            }
            ModelWeights weights = RandomModels.weights(config, TensorType.Q8_0, random);
            int[] prompt = tokens(random, config, 500);
            try (Fixture fixture = new Fixture(weights, kernels, 2, kv(random, KvType.F32))) {
                float[][] whole = fixture.all(fixture.sequence(), prompt);
                KvSequence sequence = fixture.sequence();
                float[][] chunked = new float[prompt.length][];
                for (int from = 0; from < prompt.length; ) {
                    int count = Math.min(prompt.length - from, random.nextInt(3) == 0 ? 1 : 1 + random.nextInt(150));
                    Span span = new Span(sequence, prompt, from, count, new Dense(), Logits.ALL);
                    System.arraycopy(fixture.step(span).get(0).logits(), 0, chunked, from, count);
                    from += count;
                }
                assertClose(chunked, whole, 2e-5, "seed " + seed + ", " + config);
            }
        }
    }

    @Test
    void aSequenceOnSharedPagesComputesTheSameBitForBit() {
        for (int seed = 300; seed < 306; seed++) {
            Random random = new Random(seed);
            ModelConfig config = RandomModels.config(random, 32, CONTEXT);
            ModelWeights weights = RandomModels.weights(config, TensorType.Q8_0, random);
            int[] prompt = tokens(random, config, 128);
            int[] rest = tokens(random, config, 1 + random.nextInt(40));
            try (Fixture fixture =
                    new Fixture(weights, KernelSelection.vectorKernels().orElseThrow(), 2, kv(random, KvType.BF16))) {
                PrefixCache cache = new PrefixCache(fixture.pool, fixture.kv.pageSize());
                KvSequence first = fixture.sequence();
                fixture.all(first, prompt);
                cache.put(first, prompt, prompt.length);
                float[][] expected = fixture.all(first, rest);
                first.close();
                KvSequence second = fixture.sequence();
                cache.take(second, prompt, prompt.length);
                assertThat(second.length()).isEqualTo(prompt.length);
                assertThat(fixture.all(second, rest)).as("seed %s", seed).isDeepEqualTo(expected);
            }
        }
    }

    @Test
    void scalarEqualsVectorWithinRounding() {
        Random random = new Random(7);
        ModelConfig config = RandomModels.config(random, 32, CONTEXT);
        ModelWeights weights = RandomModels.weights(config, TensorType.Q4_0, random);
        int[] prompt = tokens(random, config, 70);
        List<float[][]> logits = new ArrayList<>();
        for (CpuKernels kernels : SparseFixture.kernels()) {
            try (Fixture fixture = new Fixture(weights, kernels, 2, kv(random, KvType.BF16))) {
                logits.add(fixture.all(fixture.sequence(), prompt));
            }
        }
        // A difference in the last bit can round a key to the next bfloat16.
        assertClose(logits.get(1), logits.get(0), 5e-3, config.toString());
    }

    @Test
    void bfloat16CacheIsCloseToTheReference() {
        Random random = new Random(8);
        ModelConfig config = RandomModels.config(random, 32, CONTEXT);
        ModelWeights weights = RandomModels.weights(config, TensorType.F32, random);
        int[] prompt = tokens(random, config, 100);
        try (Fixture fixture = new Fixture(weights, SparseFixture.kernels().get(1), 2, kv(random, KvType.BF16))) {
            assertClose(
                    fixture.all(fixture.sequence(), prompt),
                    new ReferenceModel(weights).new Sequence().forward(prompt),
                    2e-2,
                    config.toString());
        }
    }

    @TestEachKernels
    void streamingLlmReassignsPositionsInsideTheCache(CpuKernels kernels) {
        for (int seed = 300; seed < 308; seed++) {
            Random random = new Random(seed);
            ModelConfig config = RandomModels.config(random, 32, CONTEXT);
            if (config.rope().scaling() instanceof Rope.Dynamic) {
                continue; // keys of one base can't be re-rotated to a later one
            }
            ModelWeights weights = RandomModels.weights(config, TensorType.F32, random);
            KvCacheConfig kv = kv(random, KvType.F32);
            int sinks = random.nextInt(6);
            StreamingLlm method = new StreamingLlm(Budget.ofTokens(20), sinks);
            int[] prompt = tokens(random, config, 100);
            String what = "seed " + seed + ", sinks " + sinks + ", " + config;
            try (Fixture fixture = new Fixture(weights, kernels, 2, kv)) {
                KvSequence sequence = fixture.sequence();
                ReferenceModel.Sequence reference = new ReferenceModel(weights).new Sequence();
                fixture.all(sequence, prompt);
                reference.forward(prompt);
                for (int step = 0; step < 4; step++) {
                    int windowStart = sequence.length() - 19 + sinks;
                    int previous = sequence.windowStart() == 0 ? sinks : sequence.windowStart();
                    sequence.evict(sinks, windowStart);
                    reference.evict(previous, windowStart);
                    int[] next = tokens(random, config, step == 2 ? 3 : 1);
                    SpanResult result =
                            fixture.step(span(sequence, method, next)).get(0);
                    assertClose(result.logits(), reference.forward(next), 2e-5, what + ", step " + step);
                    assertThat(result.attention().tokensAttended()).isPositive();
                    if (config.slidingWindow() == 0) {
                        long perToken = 0;
                        long total = 0;
                        for (int i = 1; i <= next.length; i++) {
                            perToken += 19 + i;
                            total += sequence.length() - next.length + i;
                        }
                        int heads = config.layers() * config.kvHeads();
                        AttentionStats read = result.attention();
                        assertThat(read.tokensAttended()).isEqualTo(perToken * heads);
                        assertThat(read.tokensTotal()).isEqualTo(total * heads);
                    }
                }
            }
        }
    }

    @Test
    void aBudgetOfTheWholeSequenceIsDenseBitForBit() {
        Random random = new Random(9);
        ModelConfig config = RandomModels.config(random, 32, CONTEXT);
        ModelWeights weights = RandomModels.weights(config, TensorType.Q8_0, random);
        int[] prompt = tokens(random, config, 580);
        KvCacheConfig kv = kv(random, KvType.BF16);
        try (Fixture fixture = new Fixture(weights, SparseFixture.kernels().get(1), 2, kv)) {
            KvSequence dense = fixture.sequence();
            KvSequence streaming = fixture.sequence();
            fixture.all(dense, prompt);
            fixture.all(streaming, prompt);
            float[][] expected = fixture.all(dense, 3);
            SpanResult actual = fixture.step(span(streaming, new StreamingLlm(Budget.ofTokens(1000), 4), 3))
                    .get(0);
            assertThat(actual.logits()).isDeepEqualTo(expected);
            assertThat(actual.attention().density()).isEqualTo(1);
        }
    }

    @Test
    void givesTheLogitsThatASpanAsksFor() {
        Random random = new Random(10);
        ModelConfig config = RandomModels.config(random, 32, CONTEXT);
        ModelWeights weights = RandomModels.weights(config, TensorType.Q8_0, random);
        int[] prompt = tokens(random, config, 20);
        try (Fixture fixture = new Fixture(weights, SparseFixture.kernels().get(1), 1, KvCacheConfig.DEFAULT)) {
            float[][] all = fixture.all(fixture.sequence(), prompt);
            Span last = new Span(fixture.sequence(), prompt, 0, 20, new Dense(), Logits.LAST);
            Span none = new Span(fixture.sequence(), prompt, 0, 20, new Dense(), Logits.NONE);
            Span part = new Span(fixture.sequence(), prompt, 0, 5, new Dense(), Logits.LAST);
            List<SpanResult> results = fixture.step(last, none, part);
            assertThat(results.get(0).logits()).isDeepEqualTo(new float[][] {all[19]});
            assertThat(results.get(1).logits()).isEmpty();
            assertThat(results.get(2).logits()).isDeepEqualTo(new float[][] {all[4]});
            assertThat(results.get(0).attention()).isEqualTo(AttentionStats.NONE);
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {-1, 1_000_000})
    void refusesTokensOutsideTheVocabulary(int token) {
        Random random = new Random(11);
        ModelWeights weights = RandomModels.weights(RandomModels.config(random, 32, CONTEXT), TensorType.F32, random);
        try (Fixture fixture = new Fixture(weights, SparseFixture.kernels().get(0), 1, KvCacheConfig.DEFAULT)) {
            KvSequence sequence = fixture.sequence();
            assertThatThrownBy(() -> fixture.all(sequence, token))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining(Integer.toString(token));
        }
    }

    @Test
    void aSequenceThatBeginsAnewOnOtherPagesReadsThose() {
        Random random = new Random(3);
        ModelConfig config = RandomModels.config(random, 32, CONTEXT);
        ModelWeights weights = RandomModels.weights(config, TensorType.F32, random);
        KvCacheConfig kv = new KvCacheConfig(16, KvType.F32, 0, false);
        int[] tokens = {4, 5, 6};
        float[][] expected;
        try (Fixture fixture = new Fixture(weights, new ScalarKernels(), 1, kv)) {
            expected = fixture.all(fixture.sequence(), tokens);
        }
        try (Fixture fixture = new Fixture(weights, new ScalarKernels(), 1, kv)) {
            KvSequence sequence = fixture.sequence();
            fixture.all(sequence, new int[] {1, 2, 3});
            sequence.close();
            assertThat(fixture.sequence().reserve(1)).isTrue(); // its page is another's now
            assertThat(fixture.all(sequence, tokens)).isDeepEqualTo(expected);
        }
    }
}
