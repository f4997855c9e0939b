package io.github.skim4j.engine.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.skim4j.engine.attention.Always;
import io.github.skim4j.engine.attention.Budget;
import io.github.skim4j.engine.attention.Oracle;
import io.github.skim4j.engine.attention.Quest;
import io.github.skim4j.engine.attention.Twilight;
import io.github.skim4j.engine.attention.Twilight.Logits;
import io.github.skim4j.engine.backend.cpu.SparseFixture.Read;
import io.github.skim4j.engine.backend.cpu.SparseFixture.Shape;
import io.github.skim4j.engine.kv.KvCacheConfig.KvType;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;

class TopPTest {

    /** Checks that what the threshold keeps reaches p, and is the least that does, up to ties. */
    private static float assertMinimal(CpuKernels kernels, float[] logits, double p, String what) {
        float[] padded = new float[logits.length + 8];
        System.arraycopy(logits, 0, padded, 8, logits.length);
        float threshold = TopP.threshold(padded, 8, logits.length, p, kernels.attention(), new Selection.Scratch());
        double max = Double.NEGATIVE_INFINITY;
        for (float logit : logits) {
            max = Math.max(max, logit);
        }
        double total = 0;
        double kept = 0;
        double above = 0;
        for (float logit : logits) {
            double weight = Math.exp(logit - max);
            total += weight;
            kept += logit >= threshold ? weight : 0;
            above += logit > threshold ? weight : 0;
        }
        // Exponentials are float.
        assertThat(kept / total).as(what + ", kept").isGreaterThanOrEqualTo(p - 1e-6);
        assertThat(above / total).as(what + ", without the least kept").isLessThan(p + 1e-6);
        return threshold;
    }

    private static float[] logits(Random random, int kind, int count) {
        float[] logits = new float[count];
        for (int i = 0; i < count; i++) {
            logits[i] = switch (kind) {
                case 0 -> (float) random.nextGaussian();
                case 1 -> (float) (8 * random.nextGaussian());
                case 2 -> 1.5f;
                case 3 -> random.nextInt(3);
                case 4 -> i == count / 2 ? 30 : (float) random.nextGaussian();
                case 5 -> (float) (-2 * Math.log(1 + i));
                case 6 -> 200 * random.nextFloat() - 100;
                default -> 1e-3f * random.nextFloat();
            };
        }
        return logits;
    }

    @TestEachKernels
    void keepsTheFewestTokensThatReachTheShare(CpuKernels kernels) {
        double[] shares = {1e-9, 0.01, 0.5, 0.85, 0.95, 0.999, 0.999999};
        for (int seed = 0; seed < 400; seed++) {
            Random random = new Random(seed);
            int kind = seed % 8;
            float[] logits = logits(random, kind, 8 * (1 + random.nextInt(300)));
            boolean masked = random.nextBoolean();
            for (int i = 1; i < logits.length && masked; i++) {
                logits[i] = random.nextInt(3) == 0 ? Float.NEGATIVE_INFINITY : logits[i];
            }
            double p = random.nextBoolean() ? shares[random.nextInt(shares.length)] : 1 - random.nextDouble();
            String what = "seed " + seed + ", kind " + kind + ", masked " + masked + ", p " + p;
            float threshold = assertMinimal(kernels, logits, p, what);
            assertThat(threshold).as(what).isNotEqualTo(Float.NEGATIVE_INFINITY);
        }
    }

    /** Sums in different orders must not leave the search without a bin. */
    @TestEachKernels
    void aShareThatRoundsToAllIsFoundToo(CpuKernels kernels) {
        for (int seed = 0; seed < 200; seed++) {
            Random random = new Random(seed);
            float[] logits = logits(random, seed % 8, 4096);
            for (double p : new double[] {Math.nextDown(1.0), 1 - 1e-15, 1 - 1e-13}) {
                assertMinimal(kernels, logits, p, "seed " + seed + ", p " + p);
            }
        }
    }

    /** The published search starts at the first weight, and keeps nearly everything if that is an ordinary one. */
    @Test
    void anOrdinaryFirstTokenMakesNoDifference() {
        Random random = new Random(1);
        float[] logits = logits(random, 0, 800);
        logits[400] = 9;
        float[] sinkFirst = logits.clone();
        sinkFirst[0] = logits[400];
        sinkFirst[400] = logits[0];
        for (CpuKernels kernels : SparseFixture.kernels()) {
            float threshold = assertMinimal(kernels, logits, 0.8, "ordinary");
            assertThat(assertMinimal(kernels, sinkFirst, 0.8, "sink")).isEqualTo(threshold);
            assertThat(threshold).isEqualTo(9);
        }
    }

    @Test
    void equalTokensAreAllKept() {
        float[] logits = new float[64];
        Arrays.fill(logits, -3.25f);
        for (CpuKernels kernels : SparseFixture.kernels()) {
            assertThat(assertMinimal(kernels, logits, 0.3, "equal")).isEqualTo(-3.25f);
        }
    }

    /** The fewest tokens of a candidate list that reach p by exact logits, ties aside. */
    private static Set<Integer> fewest(double[] logits, Set<Integer> candidates, double p) {
        List<Integer> sorted = candidates.stream()
                .sorted((a, b) -> Double.compare(logits[b], logits[a]))
                .toList();
        double max = logits[sorted.get(0)];
        double total = sorted.stream()
                .mapToDouble(slot -> Math.exp(logits[slot] - max))
                .sum();
        Set<Integer> kept = new TreeSet<>();
        double sum = 0;
        for (int i = 0; i < sorted.size() && sum < p * total; i++) {
            kept.add(sorted.get(i));
            sum += Math.exp(logits[sorted.get(i)] - max);
        }
        return kept;
    }

    @TestEachKernels
    void aGroupReadsTheUnionOfItsHeadsAndWhatIsAlwaysRead(CpuKernels kernels) {
        for (int seed = 0; seed < 16; seed++) {
            Random random = new Random(seed);
            Shape shape = Shape.random(random);
            int pageSize = shape.pageSize();
            int tokens = 100 + random.nextInt(600);
            Always always = new Always(random.nextInt(12), random.nextInt(20), 0);
            double p = 0.3 + 0.65 * random.nextDouble();
            boolean pruned = random.nextBoolean();
            Oracle base = pruned ? new Oracle(Budget.ofShare(0.5), always) : null;
            Twilight method = new Twilight(base, p, Logits.EXACT, always);
            String what = "seed " + seed + ", " + shape + ", " + method.spec();
            try (SparseFixture fixture = new SparseFixture(shape, kernels, tokens, 1, 0, random).fill(random, 12)) {
                List<Read> candidates = base == null ? null : fixture.run(0, base, 1);
                List<Read> reads = fixture.run(0, method, 1);
                for (int head = 0; head < shape.kvHeads(); head++) {
                    Set<Integer> all = new TreeSet<>();
                    for (int slot = 0; slot < tokens; slot++) {
                        if (candidates == null || candidates.get(head).tokens().containsKey(slot)) {
                            all.add(slot);
                        }
                    }
                    Set<Integer> expected = new TreeSet<>();
                    for (int r = 0; r < shape.group(); r++) {
                        expected.addAll(fewest(fixture.logits(0, 0, head * shape.group() + r), all, p));
                    }
                    for (int slot = 0; slot < tokens; slot++) {
                        if (slot < always.sinks()
                                || slot >= tokens - always.recent()
                                || slot >= (tokens - 1) / pageSize * pageSize) {
                            expected.add(slot);
                        }
                    }
                    Set<Integer> difference =
                            new TreeSet<>(reads.get(head).tokens().keySet());
                    Set<Integer> both = new TreeSet<>(expected);
                    both.retainAll(difference);
                    difference.addAll(expected);
                    difference.removeAll(both);
                    // A head's last token is within rounding of p now and then.
                    assertThat(difference).as(what).hasSizeLessThanOrEqualTo(seed % 8 == 0 ? 1 : 0);
                }
            }
        }
    }

    @TestEachKernels
    void fourBitsKeepAboutTheShare(CpuKernels kernels) {
        for (int seed = 50; seed < 60; seed++) {
            Random random = new Random(seed);
            Shape shape = Shape.random(random);
            Always always = new Always(0, 0, 0);
            Twilight method = new Twilight(null, 0.9, Logits.INT4, always);
            try (SparseFixture fixture = new SparseFixture(shape, kernels, 500, 1, 0, random).fill(random, 12)) {
                List<Read> reads = fixture.run(0, method, 1);
                assertThat(fixture.stats.density()).isLessThan(1);
                for (int head = 0; head < shape.kvHeads() * shape.group(); head++) {
                    double[] shares = SparseFixture.softmax(fixture.logits(0, 0, head));
                    double kept = 0;
                    for (int slot : reads.get(head / shape.group()).tokens().keySet()) {
                        kept += shares[slot];
                    }
                    assertThat(kept).as("seed %s, %s", seed, shape).isGreaterThan(0.85);
                }
            }
        }
    }

    @Test
    void prunesNothingThatTheBaseDidNotFind() {
        Random random = new Random(4);
        Shape shape = new Shape(64, 2, 2, 1, 0, 16, KvType.BF16);
        Quest base = new Quest(Budget.ofTokens(160), Quest.Score.BOUNDS, new Always(4, 16, 0));
        try (SparseFixture fixture =
                new SparseFixture(shape, SparseFixture.kernels().get(1), 900, 1, 0, random).fill(random, 12)) {
            List<Read> found = fixture.run(0, base, 1);
            List<Read> pruned = fixture.run(0, new Twilight(base, 0.6, Logits.INT4, base.always()), 1);
            for (int head = 0; head < 2; head++) {
                assertThat(found.get(head).tokens().keySet())
                        .containsAll(pruned.get(head).tokens().keySet());
                assertThat(pruned.get(head).tokens())
                        .hasSizeLessThan(found.get(head).tokens().size());
            }
        }
    }
}
