package io.github.skim4j.engine.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.skim4j.engine.AttentionStats;
import io.github.skim4j.engine.attention.Always;
import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.attention.Budget;
import io.github.skim4j.engine.attention.Dense;
import io.github.skim4j.engine.attention.Quest;
import io.github.skim4j.engine.attention.StreamingLlm;
import io.github.skim4j.engine.attention.VAttention;
import io.github.skim4j.engine.attention.VAttention.Verify;
import io.github.skim4j.engine.backend.cpu.SparseFixture.Read;
import io.github.skim4j.engine.backend.cpu.SparseFixture.Shape;
import io.github.skim4j.engine.kv.KvCacheConfig.KvType;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class RecallProbeTest {

    private static final Always ALWAYS = new Always(4, 16, 0);

    private static SparseFixture fixture(Shape shape, int tokens, int steps, double share, Random random) {
        return new SparseFixture(shape, SparseFixture.kernels().get(1), tokens, steps, share, random).fill(random, 10);
    }

    @Test
    void aMethodThatReadsEverythingKeepsAllAndErrsByNothing() {
        for (AttentionMethod method : SelectionTest.methods(Budget.ofShare(1), 1, ALWAYS)) {
            for (int tokens : new int[] {30, 700}) {
                Random random = new Random(tokens);
                try (SparseFixture fixture = fixture(Shape.random(random), tokens, 1, 1, random)) {
                    AttentionStats.Probe probe = AttentionStats.Probe.NONE;
                    for (int layer = 0; layer < fixture.config.layers(); layer++) {
                        fixture.run(layer, method, 1);
                        probe = probe.plus(fixture.stats.probe());
                    }
                    assertThat(probe.samples()).as(method.spec()).isEqualTo(1);
                    assertThat(probe.keptMass()).as(method.spec()).isEqualTo(1);
                    assertThat(probe.outputError()).as(method.spec()).isCloseTo(0, within(2e-6));
                }
            }
        }
    }

    @Test
    void agreesWithANaiveComputation() {
        for (int seed = 0; seed < 12; seed++) {
            Random random = new Random(seed);
            Shape shape = Shape.random(random);
            Quest quest = new Quest(Budget.ofShare(0.3), Quest.Score.BOUNDS, ALWAYS);
            AttentionMethod method =
                    seed % 2 == 0 ? quest : new VAttention(quest, 0.5, 0.5, Verify.DENOMINATOR, 0.05, 0);
            try (SparseFixture fixture = fixture(shape, 700 + random.nextInt(300), 1, 1, random)) {
                int samples = 0;
                for (int layer = 0; layer < shape.layers(); layer++) {
                    List<Read> reads = fixture.run(layer, method, 1);
                    AttentionStats.Probe probe = fixture.stats.probe();
                    samples += (int) probe.samples();
                    if (probe.samples() == 1) {
                        assertOneHead(
                                "seed " + seed + ", " + shape + ", " + method.spec(), fixture, layer, reads, probe);
                    }
                }
                assertThat(samples).as("seed %s", seed).isEqualTo(1);
            }
        }
    }

    /** The probe looked at one of the KV heads. */
    private static void assertOneHead(
            String what, SparseFixture fixture, int layer, List<Read> reads, AttentionStats.Probe probe) {
        List<Integer> alike = new ArrayList<>();
        for (int kvHead = 0; kvHead < reads.size(); kvHead++) {
            double mass = 0;
            double error = 0;
            for (int r = 0; r < fixture.config.group(); r++) {
                int head = kvHead * fixture.config.group() + r;
                double[] shares = SparseFixture.softmax(fixture.logits(layer, 0, head));
                double[] exact = new double[fixture.config.headDim()];
                for (int slot = 0; slot < shares.length; slot++) {
                    float[] value = fixture.value(layer, kvHead, slot);
                    for (int i = 0; i < exact.length; i++) {
                        exact[i] += shares[slot] * value[i];
                    }
                }
                for (int slot : reads.get(kvHead).tokens().keySet()) {
                    mass += shares[slot] / fixture.config.group();
                }
                double norm = 0;
                double difference = 0;
                for (int i = 0; i < exact.length; i++) {
                    norm += exact[i] * exact[i];
                    difference += Math.pow(fixture.output[head * exact.length + i] - exact[i], 2);
                }
                error += Math.sqrt(difference / norm) / fixture.config.group();
            }
            if (Math.abs(mass - probe.keptMass()) < 1e-4
                    && Math.abs(error - probe.outputError()) < 1e-4 * (1 + error)) {
                alike.add(kvHead);
            }
        }
        assertThat(alike).as(what + ", " + probe).hasSize(1);
    }

    private static AttentionStats.Probe probe(double share, AttentionMethod method, int steps, int perSpan) {
        Random random = new Random(1);
        Shape shape = new Shape(16, 2, 2, 1, 0, 16, KvType.BF16);
        AttentionStats.Probe probe = AttentionStats.Probe.NONE;
        try (SparseFixture fixture = fixture(shape, 100 + steps, steps, share, random)) {
            for (int step = 0; step + perSpan <= steps; step += perSpan) {
                fixture.attend(0, method, step, perSpan);
                probe = probe.plus(fixture.stats.probe());
            }
        }
        return probe;
    }

    @Test
    void asManyStepsAreComparedAsAsked() {
        Quest method = new Quest(Budget.ofTokens(64), Quest.Score.MOMENTS, ALWAYS);
        assertThat(probe(0, method, 300, 1)).isEqualTo(AttentionStats.Probe.NONE);
        assertThat(probe(1, method, 300, 1).samples()).isEqualTo(300);
        // Within three standard deviations.
        assertThat(probe(0.1, method, 600, 1).samples()).isBetween(38L, 82L);
    }

    @Test
    void onlyDecodeStepsOfSelectingMethodsAreCompared() {
        assertThat(probe(1, new Dense(), 20, 1).samples()).isZero();
        assertThat(probe(1, new StreamingLlm(Budget.ofTokens(64), 4), 20, 1).samples())
                .isZero();
        assertThat(probe(1, new Quest(Budget.ofTokens(64), Quest.Score.MOMENTS, ALWAYS), 20, 5)
                        .samples())
                .isZero();
        Quest denseLayer = new Quest(Budget.ofTokens(64), Quest.Score.MOMENTS, new Always(0, 0, 1));
        assertThat(probe(1, denseLayer, 20, 1).samples()).isZero();
    }
}
