package io.github.skim4j.engine.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.skim4j.engine.AttentionStats;
import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.attention.Dense;
import io.github.skim4j.engine.attention.EvictionMethod;
import io.github.skim4j.engine.backend.Backend.SpanResult;
import io.github.skim4j.engine.backend.BackendConfig;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.decode.Eviction;
import io.github.skim4j.engine.kv.KvCacheConfig;
import io.github.skim4j.engine.kv.KvCacheConfig.KvType;
import io.github.skim4j.engine.kv.KvSequence;
import io.github.skim4j.engine.kv.PagePool;
import io.github.skim4j.engine.model.ModelConfig;
import io.github.skim4j.engine.model.ModelWeights;
import io.github.skim4j.engine.model.TensorType;
import io.github.skim4j.engine.model.WeightFormat;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** H2O, TOVA and SnapKV on random models. */
class EvictionTest {

    private static final int CONTEXT = 600;

    private static KvCacheConfig kv(Random random, KvType type) {
        return new KvCacheConfig(RandomModels.pick(random, List.of(8, 16, 32, 64)), type, 0, false);
    }

    private static EvictionMethod method(Random random, int budget) {
        int window = 1 + random.nextInt(budget - 1);
        int kernel = 1 + 2 * random.nextInt(4);
        return (EvictionMethod) AttentionMethod.parse(RandomModels.pick(
                random,
                List.of(
                        "h2o:budget=" + budget + ",recent=" + random.nextFloat(),
                        "tova:budget=" + budget,
                        "snapkv:budget=" + budget + ",window=" + window + ",kernel=" + kernel)));
    }

    /** One sequence on a backend, as the scheduler would run it. */
    private static final class Run implements AutoCloseable {

        final CpuBackend backend;
        final PagePool pool;
        final KvSequence sequence;
        final EvictionMethod method;
        final Eviction eviction;
        AttentionStats stats = AttentionStats.NONE;

        Run(CpuBackend backend, PagePool pool, int pageSize, EvictionMethod method, int denseUntil) {
            this.backend = backend;
            this.pool = pool;
            this.sequence = new KvSequence(pool, pageSize);
            this.method = method;
            this.eviction = new Eviction(method, denseUntil);
        }

        Span span(AttentionMethod attention, int... tokens) {
            assertThat(sequence.reserve(tokens.length)).isTrue();
            return new Span(
                    sequence, tokens, 0, tokens.length, attention, Span.Logits.LAST, null, eviction.observation());
        }

        float[] accept(SpanResult result, int count) {
            sequence.advance(count);
            stats = stats.plus(result.attention());
            return result.logits()[0];
        }

        float[] prefill(int[] tokens) {
            return accept(backend.forward(List.of(span(new Dense(), tokens))).get(0), tokens.length);
        }

        void makeRoom() {
            eviction.makeRoom(backend, sequence);
        }

        float[] decode(int token) {
            return accept(backend.forward(List.of(span(method, token))).get(0), 1);
        }

        @Override
        public void close() {
            sequence.close();
        }
    }

    private static CpuBackend open(ModelWeights weights, CpuKernels kernels, int threads, KvCacheConfig kv) {
        return CpuBackend.open(
                weights,
                new BackendConfig(0, threads, CONTEXT, 8, 512, kv, WeightFormat.AS_STORED, new Dense(), 0),
                kernels);
    }

    private static void assertClose(float[] actual, double[] expected, double tolerance, String what) {
        double scale = 1;
        for (double value : expected) {
            scale = Math.max(scale, Math.abs(value));
        }
        for (int i = 0; i < actual.length; i++) {
            assertThat((double) actual[i]).as(what).isCloseTo(expected[i], Offset.offset(tolerance * scale));
        }
    }

    private static double[] last(double[][] rows) {
        return rows[rows.length - 1];
    }

    @TestEachKernels
    void agreesWithAReferenceThatKeepsEverything(CpuKernels kernels) {
        for (int seed = 0; seed < 16; seed++) {
            Random random = new Random(seed);
            ModelConfig config = RandomModels.config(random, 32, CONTEXT);
            int budget = 2 + random.nextInt(60);
            int length = budget + 1 + random.nextInt(80);
            agreesWithTheReference(kernels, config, random, method(random, budget), length, "seed " + seed);
        }
    }

    /** More tokens than attention and observation take in one part. */
    @ParameterizedTest
    @ValueSource(strings = {"h2o:budget=300", "tova:budget=300", "snapkv:budget=300"})
    void agreesWithAReferenceBeyondOnePart(String spec) {
        Random random = new Random(17);
        ModelConfig config;
        do {
            config = RandomModels.config(random, 32, CONTEXT);
        } while (config.heads() > 3 || config.group() == 1 || config.slidingWindow() > 0);
        EvictionMethod method = (EvictionMethod) AttentionMethod.parse(spec);
        agreesWithTheReference(SparseFixture.kernels().get(1), config, random, method, 400, "seed 17");
    }

    private static void agreesWithTheReference(
            CpuKernels kernels, ModelConfig config, Random random, EvictionMethod method, int length, String name) {
        ModelWeights weights = RandomModels.weights(config, TensorType.F32, random);
        KvCacheConfig kv = kv(random, KvType.F32);
        int budget = method.budget().tokens(length);
        int[] prompt = random.ints(length, 0, config.vocabSize()).toArray();
        String what = name + ", " + method.spec() + ", page " + kv.pageSize() + ", " + config;
        ReferenceModel.Sequence reference = new ReferenceModel(weights).new Sequence();
        try (CpuBackend backend = open(weights, kernels, 2, kv)) {
            PagePool pool = new PagePool(backend.pages());
            Run run = new Run(backend, pool, kv.pageSize(), method, prompt.length);
            assertClose(run.prefill(prompt), last(reference.forward(prompt)), 2e-5, what);
            for (int step = 0; step < 6; step++) {
                int keep = method.evictsOnce() ? budget : budget - 1;
                if (!method.evictsOnce() || step == 0) {
                    reference.evict(method, keep);
                }
                int retained = method.evictsOnce() ? budget + step : budget - 1;
                run.makeRoom();
                assertThat(run.sequence.retained()).as(what).isEqualTo(retained);
                assertThat(run.sequence.length()).as(what).isEqualTo(prompt.length + step);
                assertThat(pool.total() - pool.free()).as(what).isEqualTo(pages(retained, kv.pageSize()));

                int token = random.nextInt(config.vocabSize());
                long before = run.stats.tokensAttended();
                assertClose(run.decode(token), last(reference.forward(token)), 2e-5, what + ", step " + step);
                assertThat(pool.total() - pool.free()).as(what).isEqualTo(pages(retained + 1, kv.pageSize()));
                if (config.slidingWindow() == 0) {
                    assertThat(run.stats.tokensAttended() - before)
                            .as(what)
                            .isEqualTo((retained + 1L) * config.layers() * config.kvHeads());
                }
            }
            run.close();
            assertThat(pool.free()).as(what).isEqualTo(pool.total());
        }
    }

    private static int pages(int slots, int pageSize) {
        return (slots + pageSize - 1) / pageSize;
    }

    @ParameterizedTest
    @ValueSource(strings = {"h2o:budget=1000", "tova:budget=100%", "snapkv:budget=500,window=40"})
    void aBudgetOfTheWholeSequenceIsDenseBitForBit(String spec) {
        Random random = new Random(9);
        ModelConfig config = RandomModels.config(random, 32, CONTEXT);
        ModelWeights weights = RandomModels.weights(config, TensorType.Q8_0, random);
        KvCacheConfig kv = KvCacheConfig.DEFAULT;
        EvictionMethod method = (EvictionMethod) AttentionMethod.parse(spec);
        int[] prompt = random.ints(400, 0, config.vocabSize()).toArray();
        try (CpuBackend backend = open(weights, SparseFixture.kernels().get(1), 2, kv)) {
            PagePool pool = new PagePool(backend.pages());
            Run run = new Run(backend, pool, kv.pageSize(), method, 401);
            KvSequence dense = new KvSequence(pool, kv.pageSize());
            float[] expected = null;
            for (int[] tokens : List.of(prompt, new int[] {3})) {
                assertThat(dense.reserve(tokens.length)).isTrue();
                Span span = new Span(dense, tokens, 0, tokens.length, new Dense(), Span.Logits.LAST);
                expected = backend.forward(List.of(span)).get(0).logits()[0];
                dense.advance(tokens.length);
            }
            run.prefill(prompt);
            run.makeRoom();
            assertThat(run.decode(3)).isEqualTo(expected);
            assertThat(run.stats.density()).isEqualTo(1);
            assertThat(run.sequence.evicted()).isZero();
        }
    }

    @TestEachKernels
    void batchedEqualsSingleBitForBit(CpuKernels kernels) {
        for (int seed = 50; seed < 56; seed++) {
            Random random = new Random(seed);
            ModelConfig config = RandomModels.config(random, 32, CONTEXT);
            ModelWeights weights = RandomModels.weights(config, TensorType.Q8_0, random);
            KvCacheConfig kv = kv(random, KvType.BF16);
            List<EvictionMethod> methods = new ArrayList<>();
            List<int[]> prompts = new ArrayList<>();
            for (int i = 0; i < 3; i++) {
                methods.add(method(random, 2 + random.nextInt(40)));
                prompts.add(random.ints(60 + random.nextInt(100), 0, config.vocabSize())
                        .toArray());
            }
            List<List<float[]>> expected = new ArrayList<>();
            List<List<float[]>> actual = new ArrayList<>();
            try (CpuBackend single = open(weights, kernels, 1, kv);
                    CpuBackend batched = open(weights, kernels, 3, kv)) {
                PagePool pool = new PagePool(batched.pages());
                List<Run> runs = new ArrayList<>();
                for (int i = 0; i < 3; i++) {
                    List<float[]> logits = new ArrayList<>();
                    try (Run run = new Run(
                            single,
                            new PagePool(single.pages()),
                            kv.pageSize(),
                            methods.get(i),
                            prompts.get(i).length)) {
                        logits.add(run.prefill(prompts.get(i)));
                        for (int step = 0; step < 4; step++) {
                            run.makeRoom();
                            logits.add(run.decode(step));
                        }
                    }
                    expected.add(logits);
                    actual.add(new ArrayList<>());
                    runs.add(new Run(batched, pool, kv.pageSize(), methods.get(i), prompts.get(i).length));
                }
                // The third is one step behind the others, so that it prefills while they decode.
                for (int step = 0; step < 6; step++) {
                    List<Span> spans = new ArrayList<>();
                    List<Integer> which = new ArrayList<>();
                    for (int i = 0; i < 3; i++) {
                        int own = i == 2 ? step - 1 : step;
                        if (own >= 0 && own < 5) {
                            Run run = runs.get(i);
                            if (own > 0) {
                                run.makeRoom();
                            }
                            spans.add(
                                    own == 0
                                            ? run.span(new Dense(), prompts.get(i))
                                            : run.span(methods.get(i), own - 1));
                            which.add(i);
                        }
                    }
                    List<SpanResult> results = batched.forward(spans);
                    for (int j = 0; j < which.size(); j++) {
                        actual.get(which.get(j))
                                .add(runs.get(which.get(j))
                                        .accept(results.get(j), spans.get(j).count()));
                    }
                }
                runs.forEach(Run::close);
                assertThat(pool.free()).isEqualTo(pool.total());
            }
            for (int i = 0; i < 3; i++) {
                for (int step = 0; step < 5; step++) {
                    assertThat(actual.get(i).get(step))
                            .as("seed %s, %s, step %s", seed, methods.get(i).spec(), step)
                            .isEqualTo(expected.get(i).get(step));
                }
            }
        }
    }

    @Test
    void howThePromptIsCutDoesNotMatter() {
        for (int seed = 70; seed < 76; seed++) {
            Random random = new Random(seed);
            ModelConfig config = RandomModels.config(random, 32, CONTEXT);
            ModelWeights weights = RandomModels.weights(config, TensorType.F32, random);
            KvCacheConfig kv = kv(random, KvType.F32);
            EvictionMethod method = method(random, 30);
            int[] prompt = random.ints(200, 0, config.vocabSize()).toArray();
            try (CpuBackend backend = open(weights, SparseFixture.kernels().get(1), 2, kv)) {
                PagePool pool = new PagePool(backend.pages());
                Run whole = new Run(backend, pool, kv.pageSize(), method, 200);
                Run cut = new Run(backend, pool, kv.pageSize(), method, 200);
                whole.prefill(prompt);
                for (int from = 0; from < 200; ) {
                    int count = Math.min(200 - from, 1 + random.nextInt(70));
                    cut.prefill(Arrays.copyOfRange(prompt, from, from + count));
                    from += count;
                }
                for (int step = 0; step < 4; step++) {
                    whole.makeRoom();
                    cut.makeRoom();
                    float[] expected = whole.decode(step);
                    double[] doubles = new double[expected.length];
                    for (int i = 0; i < doubles.length; i++) {
                        doubles[i] = expected[i];
                    }
                    assertClose(cut.decode(step), doubles, 2e-5, "seed " + seed + ", " + method.spec());
                }
            }
        }
    }

    @Test
    void freedPagesServeAnotherSequenceAtOnce() {
        Random random = new Random(90);
        ModelConfig config = RandomModels.config(random, 32, CONTEXT);
        ModelWeights weights = RandomModels.weights(config, TensorType.Q8_0, random);
        KvCacheConfig kv = new KvCacheConfig(16, KvType.BF16, 0, true);
        int[] prompt = random.ints(160, 0, config.vocabSize()).toArray();
        try (CpuBackend backend = open(weights, SparseFixture.kernels().get(1), 2, kv)) {
            // Ten pages for the prompt; the second sequence lives on what the first gives back.
            PagePool pool = new PagePool(12);
            EvictionMethod method = (EvictionMethod) AttentionMethod.parse("h2o:budget=32");
            Run first = new Run(backend, pool, 16, method, 160);
            Run second = new Run(backend, pool, 16, method, 160);
            List<float[]> alone = new ArrayList<>();
            try (Run run = new Run(backend, pool, 16, method, 160)) {
                alone.add(run.prefill(prompt));
                run.makeRoom();
                alone.add(run.decode(7));
            }
            first.prefill(prompt);
            assertThat(pool.free()).isEqualTo(2);
            first.makeRoom();
            assertThat(pool.free()).isEqualTo(10);
            assertThat(second.prefill(prompt)).isEqualTo(alone.get(0));
            assertThat(pool.free()).isZero();
            assertThat(first.decode(7)).isEqualTo(alone.get(1));
            second.makeRoom();
            assertThat(second.decode(7)).isEqualTo(alone.get(1));
        }
    }
}
