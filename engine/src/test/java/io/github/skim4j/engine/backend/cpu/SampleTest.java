package io.github.skim4j.engine.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.skim4j.engine.attention.Always;
import io.github.skim4j.engine.attention.Budget;
import io.github.skim4j.engine.attention.Oracle;
import io.github.skim4j.engine.attention.PageSelector;
import io.github.skim4j.engine.attention.Quest;
import io.github.skim4j.engine.attention.RandomPages;
import io.github.skim4j.engine.attention.VAttention;
import io.github.skim4j.engine.attention.VAttention.Verify;
import io.github.skim4j.engine.backend.CounterRandom;
import io.github.skim4j.engine.backend.cpu.SparseFixture.Read;
import io.github.skim4j.engine.backend.cpu.SparseFixture.Shape;
import io.github.skim4j.engine.kv.KvCacheConfig.KvType;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.SortedMap;
import java.util.TreeMap;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What (ε, δ) promise, over many draws of the same attention. */
class SampleTest {

    private static final Always ALWAYS = new Always(16, 16, 0);

    /** Pairs of ε and δ. */
    private static final double[][] PROMISES = {{0.05, 0.05}, {0.1, 0.1}, {0.2, 0.1}};

    /** How logits are distributed over the tokens. */
    enum Distribution {
        /** Exponentials fall with a power of the rank. */
        ZIPF,
        /** A few logits stand far above a Gaussian crowd. */
        PEAKED,
        GAUSSIAN,
        WIDE,
        FLAT;

        float[] logits(int count, Random random) {
            float[] logits = new float[count];
            for (int i = 0; i < count; i++) {
                logits[i] = (float)
                        switch (this) {
                            case ZIPF -> -1.1 * Math.log(1 + i) + 0.2 * random.nextGaussian();
                            case PEAKED -> random.nextGaussian() + (random.nextInt(1000) == 0 ? 6 : 0);
                            case GAUSSIAN -> random.nextGaussian();
                            case WIDE -> 2 * random.nextGaussian();
                            case FLAT -> 1;
                        };
            }
            List<Float> shuffled = new ArrayList<>();
            for (float logit : logits) {
                shuffled.add(logit);
            }
            Collections.shuffle(shuffled, random);
            for (int i = 0; i < count; i++) {
                logits[i] = shuffled.get(i);
            }
            return logits;
        }
    }

    /** Two query heads; the first one's logits are as wanted, and so are the second one's, in another order. */
    private static SparseFixture fixture(Distribution distribution, int tokens, Random random) {
        Shape shape = new Shape(16, 1, 2, 1, 0, 16, KvType.F32);
        SparseFixture fixture = new SparseFixture(shape, SparseFixture.kernels().get(1), tokens, 1, 0, random);
        fixture.queries[0] = 4;
        fixture.queries[16 + 1] = 4;
        float[] first = distribution.logits(tokens, random);
        float[] second = distribution.logits(tokens, random);
        float[] key = new float[16];
        float[] value = new float[16];
        for (int slot = 0; slot < tokens; slot++) {
            for (int i = 0; i < 16; i++) {
                key[i] = (float) random.nextGaussian();
                value[i] = (float) (1 + random.nextGaussian());
            }
            key[0] = first[slot];
            key[1] = second[slot];
            fixture.write(0, 0, slot, key, value);
        }
        return fixture;
    }

    /** What trials came to. */
    private static final class Tally {
        int trials;
        int denominatorMisses;
        int numeratorMisses;
        double errorSum;
        double squaredErrorSum;
        double densitySum;

        double density() {
            return densitySum / trials;
        }

        @Override
        public String toString() {
            return String.format(
                    "%d trials, misses: denominator %.3f, numerator %.3f, mean error %.4f, density %.3f",
                    trials,
                    (double) denominatorMisses / trials,
                    (double) numeratorMisses / trials,
                    errorSum / trials,
                    density());
        }
    }

    /** Draws many samples over several sets of keys and compares each query head's sums with the exact ones. */
    private static Tally trials(Distribution distribution, int tokens, VAttention method, int sets, int draws) {
        Tally tally = new Tally();
        for (int set = 0; set < sets; set++) {
            try (SparseFixture fixture = fixture(distribution, tokens, new Random(1000L * tokens + set))) {
                double[][] values = new double[tokens][16];
                for (int slot = 0; slot < tokens; slot++) {
                    float[] value = fixture.value(0, 0, slot);
                    for (int i = 0; i < 16; i++) {
                        values[slot][i] = value[i];
                    }
                }
                List<Exact> heads = new ArrayList<>();
                for (int r = 0; r < 2; r++) {
                    heads.add(Exact.of(SparseFixture.softmax(fixture.logits(0, 0, r)), values));
                }
                for (int draw = 0; draw < draws; draw++) {
                    VAttention seeded = new VAttention(
                            method.heavy(),
                            method.epsilon(),
                            method.delta(),
                            method.verify(),
                            method.pilot(),
                            7919L * set + draw);
                    TokenList list = fixture.attend(0, seeded, 0, 1).get(0);
                    heads.forEach(head -> add(tally, list, head, values, method.epsilon()));
                    tally.densitySum += 2 * fixture.stats.density();
                }
            }
        }
        return tally;
    }

    /** A query head's shares of the attention, and the values' sum that they make. */
    private record Exact(double[] shares, double[] numerator) {

        static Exact of(double[] shares, double[][] values) {
            double[] numerator = new double[16];
            for (int slot = 0; slot < shares.length; slot++) {
                for (int i = 0; i < 16; i++) {
                    numerator[i] += shares[slot] * values[slot][i];
                }
            }
            return new Exact(shares, numerator);
        }
    }

    private static void add(Tally tally, TokenList list, Exact exact, double[][] values, double epsilon) {
        double denominator = 0;
        double[] numerator = new double[16];
        for (int e = 0; e < list.size(); e++) {
            double factor = Math.exp(list.logWeight(e));
            for (long mask = list.mask(e); mask != 0; mask &= mask - 1) {
                int slot = list.slot(e) + Long.numberOfTrailingZeros(mask);
                denominator += factor * exact.shares[slot];
                for (int i = 0; i < 16; i++) {
                    numerator[i] += factor * exact.shares[slot] * values[slot][i];
                }
            }
        }
        double norm = 0;
        double difference = 0;
        for (int i = 0; i < 16; i++) {
            norm += exact.numerator[i] * exact.numerator[i];
            difference += (exact.numerator[i] - numerator[i]) * (exact.numerator[i] - numerator[i]);
        }
        double error = denominator - 1;
        tally.trials++;
        tally.denominatorMisses += Math.abs(error) > epsilon ? 1 : 0;
        tally.numeratorMisses += Math.sqrt(difference / norm) > epsilon ? 1 : 0;
        tally.errorSum += error;
        tally.squaredErrorSum += error * error;
    }

    private static VAttention method(int selector, double epsilon, double delta, Verify verify) {
        Budget budget = Budget.ofShare(0.05);
        PageSelector heavy = selector % 2 == 0
                ? new Oracle(budget, ALWAYS)
                : new Quest(budget, selector % 4 == 1 ? Quest.Score.BOUNDS : Quest.Score.MOMENTS, ALWAYS);
        return new VAttention(heavy, epsilon, delta, verify, 0.05, 0);
    }

    private static void assertCovered(Distribution distribution, int tokens, VAttention method, int sets) {
        Tally tally = trials(distribution, tokens, method, sets, 210 / sets);
        double delta = method.delta();
        double most = delta + 3 * Math.sqrt(delta * (1 - delta) / tally.trials);
        String what = distribution + ", " + tokens + " tokens, " + method.spec() + ": " + tally;
        assertThat(tally.trials).isGreaterThanOrEqualTo(400);
        if (method.verify() != Verify.NUMERATOR) {
            assertThat((double) tally.denominatorMisses / tally.trials).as(what).isLessThanOrEqualTo(most);
        }
        if (method.verify() != Verify.DENOMINATOR) {
            assertThat((double) tally.numeratorMisses / tally.trials).as(what).isLessThanOrEqualTo(most);
        }
    }

    @ParameterizedTest
    @EnumSource
    void errorsBeyondEpsilonAreNoMoreFrequentThanDelta(Distribution distribution) {
        for (int p = 0; p < PROMISES.length; p++) {
            Verify verify = Verify.values()[(p + distribution.ordinal()) % 3];
            VAttention method = method(p + distribution.ordinal(), PROMISES[p][0], PROMISES[p][1], verify);
            assertCovered(distribution, 4096, method, 7);
        }
    }

    @Tag("slow")
    @ParameterizedTest
    @EnumSource
    void soItIsWithEveryPromiseAndSelector(Distribution distribution) {
        for (int tokens : new int[] {4096, 16_384}) {
            for (double[] promise : PROMISES) {
                for (Verify verify : Verify.values()) {
                    for (int selector = 0; selector < 2; selector++) {
                        assertCovered(distribution, tokens, method(selector, promise[0], promise[1], verify), 7);
                    }
                }
            }
        }
    }

    @Tag("slow")
    @ParameterizedTest
    @EnumSource
    void soItIsWith128KTokens(Distribution distribution) {
        for (int selector = 0; selector < 2; selector++) {
            assertCovered(distribution, 131_072, method(selector, 0.1, 0.1, Verify.BOTH), 3);
        }
    }

    @ParameterizedTest
    @EnumSource
    void aSampleOfFixedSizeIsUnbiased(Distribution distribution) {
        // With so large an error the pilot is enough.
        Tally tally = trials(distribution, 4096, method(0, 0.9, 0.9, Verify.DENOMINATOR), 4, 50);
        double standardError = Math.sqrt(tally.squaredErrorSum) / tally.trials;
        assertThat(Math.abs(tally.errorSum / tally.trials))
                .as("%s, standard error %s", tally, standardError)
                .isLessThanOrEqualTo(3 * standardError + 1e-6);
        assertThat(tally.density()).isLessThan(0.12);
    }

    @Test
    void aSmallerErrorTakesMoreTokens() {
        double loose = trials(Distribution.GAUSSIAN, 4096, method(1, 0.2, 0.1, Verify.BOTH), 2, 20)
                .density();
        double tight = trials(Distribution.GAUSSIAN, 4096, method(1, 0.1, 0.1, Verify.BOTH), 2, 20)
                .density();
        assertThat(tight).isGreaterThan(1.3 * loose).isLessThan(0.6);
    }

    /** What every sample is made of, whatever the shape. */
    @Test
    void theRestIsSampledOnceWithTheWeightOfItsStratum() {
        int sampled = 0;
        for (int seed = 0; seed < 16; seed++) {
            Random random = new Random(seed);
            Shape shape = Shape.random(random);
            int tokens = 500 + random.nextInt(1500);
            Always always = new Always(random.nextInt(40), random.nextInt(40), 0);
            PageSelector heavy = random.nextBoolean()
                    ? new Oracle(Budget.ofShare(0.1), always)
                    : new RandomPages(Budget.ofShare(0.1), seed, always);
            VAttention method = new VAttention(heavy, 0.5, 0.3, Verify.values()[random.nextInt(3)], 0.05, seed);
            String what = "seed " + seed + ", " + shape + ", " + tokens + " tokens, " + method.spec();
            try (SparseFixture fixture =
                    new SparseFixture(shape, SparseFixture.kernels().get(seed % 2), tokens, 1, 0, random)) {
                fixture.fill(random, 0);
                List<Read> fixed = fixture.run(0, heavy, 1);
                List<Read> reads = fixture.run(0, method, 1);
                assertThat(fixture.run(0, method, 1)).as(what + ", repeated").isEqualTo(reads);
                for (int head = 0; head < shape.kvHeads(); head++) {
                    SortedMap<Integer, Float> rest =
                            new TreeMap<>(reads.get(head).tokens());
                    fixed.get(head)
                            .tokens()
                            .forEach((slot, weight) ->
                                    assertThat(rest.remove(slot)).as(what).isEqualTo(0f));
                    if (reads.get(head).tokens().size() < tokens) {
                        sampled++;
                        assertWeights(what, tokens, fixed.get(head), rest);
                    }
                }
            }
        }
        assertThat(sampled).as("heads that were sampled").isGreaterThan(8);
    }

    private static void assertWeights(String what, int tokens, Read fixed, SortedMap<Integer, Float> sample) {
        int rest = tokens - fixed.tokens().size();
        int count = Math.max(64, (int) Math.ceil(0.05 * rest));
        Strata strata = new Strata(rest, count, new CounterRandom(0));
        int slot = 0;
        for (int s = 0; s < count; s++) {
            double sum = 0;
            for (int i = 0; i < strata.size(s); slot++) {
                if (!fixed.tokens().containsKey(slot)) {
                    sum += sample.containsKey(slot) ? Math.exp(sample.get(slot)) : 0;
                    i++;
                }
            }
            assertThat(sum).as(what + ", stratum " + s).isCloseTo(strata.size(s), within(1e-4));
        }
    }

    @Test
    void aSmallRestIsReadWhole() {
        Random random = new Random(3);
        Shape shape = new Shape(64, 1, 4, 1, 0, 16, KvType.BF16);
        Oracle heavy = new Oracle(Budget.ofTokens(112), new Always(4, 64, 0));
        VAttention method = new VAttention(heavy, 0.9, 0.9, Verify.DENOMINATOR, 0.05, 0);
        for (int tokens : new int[] {100, 112, 128, 129, 352}) {
            try (SparseFixture fixture =
                    new SparseFixture(shape, SparseFixture.kernels().get(0), tokens, 1, 0, random).fill(random, 0)) {
                assertThat(fixture.run(0, method, 1).get(0).tokens())
                        .as("%s tokens", tokens)
                        .hasSize(tokens)
                        .allSatisfy((slot, weight) -> assertThat(weight).isZero());
            }
        }
    }

    @Test
    void headsPositionsAndSeedsDrawDifferently() {
        Random random = new Random(4);
        Shape shape = new Shape(16, 2, 1, 1, 0, 16, KvType.BF16);
        try (SparseFixture fixture =
                new SparseFixture(shape, SparseFixture.kernels().get(0), 3000, 2, 0, random).fill(random, 0)) {
            List<Read> reads = new ArrayList<>(fixture.run(0, method(0, 0.5, 0.5, Verify.DENOMINATOR), 2));
            RandomPages pages = new RandomPages(Budget.ofShare(0.05), 0, ALWAYS);
            reads.addAll(fixture.run(0, new VAttention(pages, 0.5, 0.5, Verify.DENOMINATOR, 0.05, 0), 2));
            assertThat(reads).doesNotHaveDuplicates();
        }
    }

    @Test
    void nothingBeforeASlidingWindowIsDrawn() {
        for (int seed = 0; seed < 6; seed++) {
            Random random = new Random(seed);
            Shape shape = Shape.random(random).withWindow(700 + random.nextInt(200));
            try (SparseFixture fixture =
                    new SparseFixture(shape, SparseFixture.kernels().get(1), 1500, 1, 0, random).fill(random, 0)) {
                VAttention method = new VAttention(
                        new Oracle(Budget.ofShare(0.1), new Always(0, 16, 0)), 0.5, 0.5, Verify.BOTH, 0.2, 0);
                for (Read read : fixture.run(0, method, 1)) {
                    assertThat(read.tokens().firstKey())
                            .as("seed %s, %s", seed, shape)
                            .isGreaterThanOrEqualTo(1500 - shape.window());
                }
                assertThat(fixture.stats.density()).isLessThan(1);
            }
        }
    }
}
