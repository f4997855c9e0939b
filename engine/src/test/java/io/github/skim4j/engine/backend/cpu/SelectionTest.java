package io.github.skim4j.engine.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.skim4j.engine.AttentionStats;
import io.github.skim4j.engine.attention.Always;
import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.attention.Budget;
import io.github.skim4j.engine.attention.Dense;
import io.github.skim4j.engine.attention.DoubleSparsity;
import io.github.skim4j.engine.attention.Oracle;
import io.github.skim4j.engine.attention.Quest;
import io.github.skim4j.engine.attention.RandomPages;
import io.github.skim4j.engine.attention.Sketch;
import io.github.skim4j.engine.attention.Twilight;
import io.github.skim4j.engine.attention.Twilight.Logits;
import io.github.skim4j.engine.attention.VAttention;
import io.github.skim4j.engine.attention.VAttention.Verify;
import io.github.skim4j.engine.backend.cpu.SparseFixture.Read;
import io.github.skim4j.engine.backend.cpu.SparseFixture.Shape;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** What holds for every selecting method. */
class SelectionTest {

    static List<AttentionMethod> methods(Budget budget, double p, Always always) {
        Quest quest = new Quest(budget, Quest.Score.BOUNDS, always);
        Sketch sketch = new Sketch(budget, 0.3, always);
        DoubleSparsity doubleSparsity = new DoubleSparsity(budget, 8, always);
        return List.of(
                quest,
                new Quest(budget, Quest.Score.MOMENTS, always),
                new Quest(budget, Quest.Score.BOUNDS, Quest.Statistics.FP8, always),
                new Quest(budget, Quest.Score.MOMENTS, Quest.Statistics.FP8, always),
                sketch,
                new Sketch(budget, null, always),
                doubleSparsity,
                new Oracle(budget, always),
                new RandomPages(budget, 3, always),
                new Twilight(null, p, Logits.INT4, new Always(always.sinks(), always.recent(), always.denseLayers())),
                new Twilight(quest, p, Logits.EXACT, always),
                new Twilight(sketch, p, Logits.INT4, always),
                new Twilight(doubleSparsity, p, Logits.INT4, always),
                new VAttention(quest, 0.5, 0.5, Verify.BOTH, 0.05, 1),
                new VAttention(sketch, 0.5, 0.5, Verify.DENOMINATOR, 0.05, 1),
                new VAttention(doubleSparsity, 0.5, 0.5, Verify.NUMERATOR, 0.05, 1));
    }

    /** Lengths about the borders of pages and of the parts that a list is cut into. */
    private static List<Integer> lengths(int pageSize, Random random) {
        return List.of(
                1,
                pageSize - 1,
                pageSize,
                pageSize + 1,
                255,
                256,
                257,
                256 + pageSize,
                512,
                513,
                300 + random.nextInt(400));
    }

    @TestEachKernels
    void aBudgetOfTheWholeSequenceIsDenseBitForBit(CpuKernels kernels) {
        for (int seed = 0; seed < 4; seed++) {
            Random random = new Random(seed);
            Shape shape = Shape.random(random);
            if (seed % 2 == 1) {
                shape = shape.withWindow(20 + random.nextInt(300));
            }
            for (int tokens : lengths(shape.pageSize(), random)) {
                try (SparseFixture fixture = new SparseFixture(shape, kernels, tokens, 1, 0, random).fill(random, 10)) {
                    fixture.attend(0, new Dense(), 0, 1);
                    float[] dense = fixture.output;
                    Budget budget = random.nextBoolean() ? Budget.ofShare(1) : Budget.ofTokens(tokens);
                    for (AttentionMethod method : methods(budget, 1, new Always(4, 16, 0))) {
                        fixture.attend(0, method, 0, 1);
                        String what = "seed " + seed + ", " + shape + ", " + tokens + " tokens, " + method.spec();
                        assertThat(fixture.output).as(what).isEqualTo(dense);
                        assertThat(fixture.stats.density()).as(what).isEqualTo(1);
                    }
                }
            }
        }
    }

    @TestEachKernels
    void onlyTokensInASlidingWindowAreRead(CpuKernels kernels) {
        for (int seed = 0; seed < 6; seed++) {
            Random random = new Random(seed);
            Shape shape = Shape.random(random).withWindow(300 + random.nextInt(100));
            int tokens = 700 + random.nextInt(100);
            try (SparseFixture fixture = new SparseFixture(shape, kernels, tokens, 1, 0, random).fill(random, 10)) {
                for (AttentionMethod method : methods(Budget.ofShare(0.3), 0.6, new Always(4, 16, 0))) {
                    String what = "seed " + seed + ", " + shape + ", " + method.spec();
                    for (Read read : fixture.run(0, method, 1)) {
                        assertThat(read.tokens().firstKey()).as(what).isGreaterThanOrEqualTo(tokens - shape.window());
                        assertThat(read.whole(tokens - 16, tokens)).as(what).isTrue();
                    }
                    assertThat(fixture.stats.tokensTotal()).as(what).isEqualTo((long) shape.window() * shape.kvHeads());
                }
            }
        }
    }

    @TestEachKernels
    void aSpanOfTokensReadsWhatTheyReadOneByOne(CpuKernels kernels) {
        for (int seed = 0; seed < 4; seed++) {
            Shape shape = Shape.random(new Random(seed));
            int steps = 3 + seed + 8;
            int tokens = 256 + 2 * shape.pageSize() + steps - 3;
            for (AttentionMethod method : methods(Budget.ofShare(0.4), 0.7, new Always(4, 16, 0))) {
                Random first = new Random(seed);
                Random second = new Random(seed);
                String what = "seed " + seed + ", " + shape + ", " + method.spec();
                try (SparseFixture together =
                                new SparseFixture(shape, kernels, tokens, steps, 0, first).fill(first, 10);
                        SparseFixture apart =
                                new SparseFixture(shape, kernels, tokens, steps, 0, second).fill(second, 10)) {
                    List<Read> reads = together.run(0, method, steps);
                    int width = together.config.heads() * together.config.headDim();
                    AttentionStats sum = AttentionStats.NONE;
                    List<Read> oneByOne = new ArrayList<>();
                    for (int step = 0; step < steps; step++) {
                        oneByOne.addAll(apart.run(0, method, step, 1));
                        float[] row = Arrays.copyOfRange(together.output, step * width, (step + 1) * width);
                        assertThat(apart.output).as(what + ", step " + step).isEqualTo(row);
                        sum = sum.plus(apart.stats);
                    }
                    assertThat(reads).as(what).isEqualTo(oneByOne);
                    assertThat(together.stats.tokensAttended()).as(what).isEqualTo(sum.tokensAttended());
                    assertThat(together.stats.bytesRead()).as(what).isEqualTo(sum.bytesRead());
                    assertThat(together.stats.bytesTotal()).as(what).isEqualTo(sum.bytesTotal());
                }
            }
        }
    }

    @Test
    void statisticsCountWhatWasReadAndWhatSelectionLookedAt() {
        for (int seed = 0; seed < 12; seed++) {
            Random random = new Random(seed);
            Shape shape = Shape.random(random);
            int pageSize = shape.pageSize();
            int headDim = shape.headDim();
            int tokens = 257 + random.nextInt(500);
            try (SparseFixture fixture =
                    new SparseFixture(shape, SparseFixture.kernels().get(1), tokens, 1, 0, random).fill(random, 10)) {
                Budget budget = Budget.ofTokens(pageSize * 2);
                Always always = new Always(0, 0, 0);
                int pages = fixture.pagesAt(0);
                int full = pages - 1;
                long keyBytes = (long) headDim * shape.type().bytes();
                Quest quest = new Quest(budget, Quest.Score.BOUNDS, always);
                Sketch sketch = new Sketch(budget, 0.5, always);
                Twilight twilight = new Twilight(null, 0.5, Logits.INT4, always);
                long coarse = Math.max(2, (int) Math.ceil(0.5 * pages)) - 1;
                long fourBits = (headDim / 2 + 4L) * pageSize;
                boolean ranked = pages > 2;
                long sets = Math.max(1, pageSize / Quest.STATISTICS_TOKENS);
                assertStats("seed " + seed, fixture, quest, ranked ? 4L * headDim * sets * full : 0);
                assertStats(
                        "seed " + seed, fixture, new Oracle(budget, always), ranked ? keyBytes * pageSize * full : 0);
                assertStats("seed " + seed, fixture, new RandomPages(budget, 0, always), 0);
                DoubleSparsity doubleSparsity = new DoubleSparsity(budget, 8, always);
                assertStats("seed " + seed, fixture, doubleSparsity, ranked ? (8 / 2 + 4L) * pageSize * full : 0);
                assertStats("seed " + seed, fixture, twilight, fourBits * full);
                boolean sketched = full * pageSize >= KeySketches.MEAN_TOKENS;
                long first = coarse + 1 < pages ? (headDim / 8 + 2L) * pageSize * full : 0;
                long second = coarse + 1 > 2 ? fourBits * coarse : 0;
                assertStats("seed " + seed, fixture, sketch, sketched ? first + second : 0);
                sketch = new Sketch(budget, null, always);
                coarse = sketch.coarsePages(2, pages) - 1;
                first = coarse < full ? (headDim / 8 + 2L) * pageSize * full : 0;
                second = coarse + 1 > 2 ? fourBits * coarse : 0;
                assertStats("seed " + seed, fixture, sketch, sketched ? first + second : 0);
                first = ranked ? (headDim / 8 + 2L) * pageSize * full : 0;
                assertStats("seed " + seed, fixture, new Sketch(budget, 0., always), sketched ? first : 0);
            }
        }
    }

    /** @param selectionBytes of each KV head */
    private static void assertStats(String seed, SparseFixture fixture, AttentionMethod method, long selectionBytes) {
        List<Read> reads = fixture.run(0, method, 1);
        AttentionStats stats = fixture.stats;
        Shape shape = fixture.shape;
        String what = seed + ", " + shape + ", " + fixture.tokens + " tokens, " + method.spec();
        long attended = reads.stream().mapToLong(read -> read.tokens().size()).sum();
        long pages = reads.stream()
                .mapToLong(read -> read.tokens().keySet().stream()
                        .map(slot -> slot / shape.pageSize())
                        .distinct()
                        .count())
                .sum();
        long tokenBytes = 2L * shape.headDim() * shape.type().bytes();
        assertThat(stats.tokensAttended()).as(what).isEqualTo(attended);
        assertThat(stats.tokensTotal()).as(what).isEqualTo((long) fixture.tokens * shape.kvHeads());
        assertThat(stats.tokensEvicted()).as(what).isZero();
        assertThat(stats.pagesRead()).as(what).isEqualTo(pages);
        assertThat(stats.bytesTotal()).as(what).isEqualTo(stats.tokensTotal() * tokenBytes);
        assertThat(stats.bytesRead()).as(what).isEqualTo(attended * tokenBytes + selectionBytes * shape.kvHeads());
        assertThat(stats.time().total())
                .as(what)
                .isGreaterThanOrEqualTo(stats.time().selection());
    }
}
