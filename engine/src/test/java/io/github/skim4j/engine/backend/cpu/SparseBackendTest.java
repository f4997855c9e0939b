package io.github.skim4j.engine.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.skim4j.engine.AttentionStats;
import io.github.skim4j.engine.attention.Always;
import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.attention.Budget;
import io.github.skim4j.engine.attention.Dense;
import io.github.skim4j.engine.backend.Backend.SpanResult;
import io.github.skim4j.engine.backend.BackendConfig;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.backend.Span.Logits;
import io.github.skim4j.engine.kv.KvCacheConfig;
import io.github.skim4j.engine.kv.KvCacheConfig.KvType;
import io.github.skim4j.engine.kv.KvSequence;
import io.github.skim4j.engine.kv.PagePool;
import io.github.skim4j.engine.kv.PrefixCache;
import io.github.skim4j.engine.model.LabelChannels;
import io.github.skim4j.engine.model.ModelConfig;
import io.github.skim4j.engine.model.ModelWeights;
import io.github.skim4j.engine.model.Rope;
import io.github.skim4j.engine.model.Tensor;
import io.github.skim4j.engine.model.TensorRole;
import io.github.skim4j.engine.model.TensorType;
import io.github.skim4j.engine.model.WeightFormat;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** Selecting methods in whole steps of a model. */
class SparseBackendTest {

    private static final int CONTEXT = 600;
    private static final Always ALWAYS = new Always(4, 16, 0);

    private static List<AttentionMethod> methods() {
        return SelectionTest.methods(Budget.ofShare(0.3), 0.6, ALWAYS);
    }

    private static ModelConfig config(Random random, int layers) {
        ModelConfig c = RandomModels.config(random, 32, CONTEXT);
        return new ModelConfig(
                c.architecture(),
                c.vocabSize(),
                c.hiddenSize(),
                c.intermediateSize(),
                layers,
                c.heads(),
                c.kvHeads(),
                c.headDim(),
                CONTEXT,
                c.rmsNormEps(),
                new Rope(10_000, new Rope.None(), false),
                0,
                0,
                c.qkNorm(),
                c.tiedEmbeddings());
    }

    /** A backend with its pool. */
    private static final class Fixture implements AutoCloseable {

        final CpuBackend backend;
        final PagePool pool;
        final int pageSize;

        Fixture(ModelWeights weights, int threads, int pageSize) {
            this.pageSize = pageSize;
            backend = CpuBackend.open(
                    calibrated(weights),
                    new BackendConfig(
                            0,
                            threads,
                            CONTEXT,
                            8,
                            CONTEXT,
                            new KvCacheConfig(pageSize, KvType.BF16, 0, false),
                            WeightFormat.AS_STORED,
                            new Dense(),
                            0),
                    SparseFixture.kernels().get(1));
            pool = new PagePool(backend.pages());
        }

        private static ModelWeights calibrated(ModelWeights weights) {
            return new ModelWeights() {
                @Override
                public String name() {
                    return weights.name();
                }

                @Override
                public ModelConfig config() {
                    return weights.config();
                }

                @Override
                public Tensor find(TensorRole role, int layer) {
                    return weights.find(role, layer);
                }

                @Override
                public LabelChannels labelChannels() {
                    return RandomModels.labelChannels(weights.config(), new Random(9));
                }
            };
        }

        KvSequence sequence() {
            return new KvSequence(pool, pageSize);
        }

        /** A sequence whose prompt was attended densely, in chunks. */
        KvSequence prefilled(int[] prompt, int chunk) {
            return prefilled(sequence(), prompt, chunk);
        }

        /** The same of a sequence that has the first tokens of its prompt already. */
        KvSequence prefilled(KvSequence sequence, int[] prompt, int chunk) {
            for (int from = sequence.length(); from < prompt.length; from += chunk) {
                step(new Span(sequence, prompt, from, Math.min(chunk, prompt.length - from), new Dense(), Logits.NONE));
            }
            return sequence;
        }

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

        @Override
        public void close() {
            backend.close();
        }
    }

    private static Span span(KvSequence sequence, AttentionMethod method, int... tokens) {
        return new Span(sequence, tokens, 0, tokens.length, method, Logits.ALL);
    }

    private static int[] tokens(Random random, ModelConfig config, int count) {
        return random.ints(count, 0, config.vocabSize()).toArray();
    }

    private static void assertEqual(SpanResult actual, SpanResult expected, String what) {
        assertThat(actual.logits()).as(what).isDeepEqualTo(expected.logits());
        assertThat(withoutTime(actual.attention())).as(what).isEqualTo(withoutTime(expected.attention()));
    }

    private static AttentionStats withoutTime(AttentionStats stats) {
        return new AttentionStats(
                stats.tokensAttended(),
                stats.tokensTotal(),
                stats.tokensEvicted(),
                stats.pagesRead(),
                stats.bytesRead(),
                stats.bytesTotal(),
                AttentionStats.Time.NONE,
                stats.probe());
    }

    @Test
    void spansOfDifferentMethodsInOneStepEqualSingleOnesBitForBit() {
        for (int seed = 0; seed < 3; seed++) {
            Random random = new Random(seed);
            ModelConfig config = config(random, 2);
            ModelWeights weights = RandomModels.weights(config, TensorType.Q8_0, random);
            int pageSize = RandomModels.pick(random, List.of(8, 16, 32));
            int[] first = tokens(random, config, 300 + random.nextInt(200));
            int[] second = tokens(random, config, 300 + random.nextInt(200));
            int[] third = tokens(random, config, 30);
            List<AttentionMethod> methods = methods();
            try (Fixture single = new Fixture(weights, 1, pageSize);
                    Fixture batched = new Fixture(weights, 3, pageSize)) {
                KvSequence s1 = single.prefilled(first, 600);
                KvSequence s2 = single.prefilled(second, 600);
                KvSequence b1 = batched.prefilled(first, 600);
                KvSequence b2 = batched.prefilled(second, 600);
                for (int i = 0; i < methods.size(); i++) {
                    AttentionMethod method = methods.get(i);
                    AttentionMethod other = methods.get((i + 3) % methods.size());
                    String what = "seed " + seed + ", " + method.spec() + " beside " + other.spec() + ", " + config;
                    SpanResult expected1 = single.step(span(s1, method, i)).get(0);
                    SpanResult expected2 =
                            single.step(span(s2, other, i, i + 1)).get(0);
                    assertThat(expected1.attention().density()).as(what).isLessThan(1);
                    KvSequence s3 = single.sequence();
                    SpanResult expected3 =
                            single.step(span(s3, new Dense(), third)).get(0);
                    s3.close();
                    KvSequence b3 = batched.sequence();
                    List<SpanResult> all =
                            batched.step(span(b2, other, i, i + 1), span(b3, new Dense(), third), span(b1, method, i));
                    b3.close();
                    assertEqual(all.get(2), expected1, what);
                    assertEqual(all.get(0), expected2, what);
                    assertEqual(all.get(1), expected3, what);
                }
            }
        }
    }

    @Test
    void selectionsThatServeSeveralTokensAreThoseOfTheirSequence() {
        Random random = new Random(11);
        ModelConfig config = config(random, 2);
        ModelWeights weights = RandomModels.weights(config, TensorType.Q8_0, random);
        List<AttentionMethod> methods =
                SelectionTest.methods(Budget.ofShare(0.3), 0.6, new Always(4, 16, 1, 3)).stream()
                        .filter(method -> method.selector() != null)
                        .toList();
        int[] first = tokens(random, config, 300 + random.nextInt(200));
        int[] second = tokens(random, config, 300 + random.nextInt(200));
        int[] answer = tokens(random, config, 11);
        for (int i = 0; i < methods.size(); i++) {
            AttentionMethod method = methods.get(i);
            AttentionMethod other = methods.get((i + 3) % methods.size());
            try (Fixture single = new Fixture(weights, 1, 16);
                    Fixture batched = new Fixture(weights, 3, 16)) {
                KvSequence s1 = single.prefilled(first, 600);
                KvSequence s2 = single.prefilled(second, 600);
                KvSequence b1 = batched.prefilled(first, 600);
                KvSequence b2 = batched.prefilled(second, 600);
                for (int t = 0; t < answer.length; t++) {
                    String what = method.spec() + " beside " + other.spec() + ", token " + t;
                    SpanResult expected1 =
                            single.step(span(s1, method, answer[t])).get(0);
                    // The other joins later, so that they rank in different steps.
                    if (t == 0) {
                        assertEqual(batched.step(span(b1, method, answer[t])).get(0), expected1, what);
                        continue;
                    }
                    SpanResult expected2 =
                            single.step(span(s2, other, answer[t])).get(0);
                    List<SpanResult> both = batched.step(span(b2, other, answer[t]), span(b1, method, answer[t]));
                    assertEqual(both.get(1), expected1, what);
                    assertEqual(both.get(0), expected2, what);
                }
                // A sequence that begins anew has nothing of what it was, even where the next token would come in the
                // interval.
                int[] third = tokens(random, config, first.length + answer.length - 1);
                s1.close();
                single.prefilled(s1, third, 600);
                KvSequence fresh = batched.prefilled(third, 600);
                for (int token : answer) {
                    SpanResult expected =
                            batched.step(span(fresh, method, token)).get(0);
                    assertEqual(single.step(span(s1, method, token)).get(0), expected, method.spec());
                }
            }
        }
    }

    @Test
    void aSpanOfTokensEqualsOneTokenAtATimeBitForBit() {
        for (AttentionMethod method : methods()) {
            Random random = new Random(17);
            ModelConfig config = config(random, 2);
            ModelWeights weights = RandomModels.weights(config, TensorType.F32, random);
            int[] prompt = tokens(random, config, 290);
            int[] question = tokens(random, config, 21);
            try (Fixture fixture = new Fixture(weights, 2, 16)) {
                SpanResult together = fixture.step(span(fixture.prefilled(prompt, 600), method, question))
                        .get(0);
                KvSequence sequence = fixture.prefilled(prompt, 600);
                for (int t = 0; t < question.length; t++) {
                    float[] row = fixture.step(span(sequence, method, question[t]))
                            .get(0)
                            .logits()[0];
                    assertThat(together.logits()[t])
                            .as("%s, token %s", method.spec(), t)
                            .isEqualTo(row);
                }
            }
        }
    }

    /** Keys of the only layer don't depend on attention, so that whatever differs comes from selection. */
    @Test
    void howAPromptWasCutMakesNoDifference() {
        for (int pageSize : new int[] {8, 16, 32, 64}) {
            Random random = new Random(pageSize);
            ModelConfig config = config(random, 1);
            ModelWeights weights = RandomModels.weights(config, TensorType.BF16, random);
            int[] prompt = tokens(random, config, 300 + random.nextInt(250));
            List<List<SpanResult>> results = new ArrayList<>();
            for (int chunk : new int[] {600, 1 + random.nextInt(200), pageSize}) {
                try (Fixture fixture = new Fixture(weights, 2, pageSize)) {
                    KvSequence sequence = fixture.prefilled(prompt, chunk);
                    results.add(methods().stream()
                            .map(method ->
                                    fixture.step(span(sequence, method, 1)).get(0))
                            .toList());
                }
            }
            for (int i = 0; i < methods().size(); i++) {
                String what = "pages of " + pageSize + ", " + methods().get(i).spec();
                assertEqual(results.get(1).get(i), results.get(0).get(i), what);
                assertEqual(results.get(2).get(i), results.get(0).get(i), what);
            }
        }
    }

    /** Page data of one method's steps serve another method, and what a method left in a page is gone with its sequence. */
    @Test
    void pagesThatServedAnotherSequenceAreLikeNewOnes() {
        Random random = new Random(5);
        ModelConfig config = config(random, 2);
        ModelWeights weights = RandomModels.weights(config, TensorType.F32, random);
        int[] before = tokens(random, config, 550);
        int[] prompt = tokens(random, config, 400);
        try (Fixture used = new Fixture(weights, 2, 16)) {
            for (int round = 0; round < 2; round++) {
                KvSequence sequence = used.prefilled(before, 600);
                methods().forEach(method -> used.step(span(sequence, method, 1)));
                sequence.close();
                KvSequence second = used.prefilled(prompt, 600);
                try (Fixture fresh = new Fixture(weights, 2, 16)) {
                    KvSequence alone = fresh.prefilled(prompt, 600);
                    for (AttentionMethod method : methods()) {
                        SpanResult expected = fresh.step(span(alone, method, 2)).get(0);
                        assertEqual(used.step(span(second, method, 2)).get(0), expected, method.spec());
                    }
                }
                second.close();
            }
        }
    }

    /**
     * Two prompts with a common beginning are computed side by side, the one for dense attention and the other for a method that makes page
     * data, and a third goes on from what the prefix cache has of them.
     */
    @Test
    void pagesOfSeveralSequencesServeOneThatBeginsLikeThem() {
        Random random = new Random(6);
        ModelConfig config = config(random, 2);
        ModelWeights weights = RandomModels.weights(config, TensorType.F32, random);
        int[] longer = tokens(random, config, 400);
        int[] prompt = Arrays.copyOf(longer, 300);
        for (AttentionMethod method : methods()) {
            try (Fixture shared = new Fixture(weights, 2, 16);
                    Fixture fresh = new Fixture(weights, 2, 16)) {
                PrefixCache cache = new PrefixCache(shared.pool, 16);
                KvSequence first = shared.prefilled(prompt, 600);
                KvSequence second = shared.prefilled(longer, 600);
                cache.put(first, prompt, prompt.length);
                cache.put(second, longer, longer.length);
                shared.step(span(second, method, 1));
                KvSequence third = shared.sequence();
                cache.take(third, longer, longer.length - 1);
                assertThat(third.length()).isGreaterThanOrEqualTo(288);
                shared.prefilled(third, longer, 600);
                SpanResult expected = fresh.step(span(fresh.prefilled(longer, 600), method, 2))
                        .get(0);
                assertEqual(shared.step(span(third, method, 2)).get(0), expected, method.spec());
            }
        }
    }
}
