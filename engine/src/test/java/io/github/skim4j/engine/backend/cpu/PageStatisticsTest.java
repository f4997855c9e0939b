package io.github.skim4j.engine.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.skim4j.engine.attention.Always;
import io.github.skim4j.engine.attention.Quest.Score;
import io.github.skim4j.engine.attention.Quest.Statistics;
import io.github.skim4j.engine.backend.cpu.Pipelines.Pipeline;
import io.github.skim4j.engine.backend.cpu.SparseFixture.Shape;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class PageStatisticsTest {

    private static final int SEEDS = 12;

    private interface PageCheck {
        void check(String what, SparseFixture fixture, float[] queries, int kvHead, int page, float[] scores);
    }

    /** Scores every page of random fixtures for every KV head. */
    private static void forPages(CpuKernels kernels, Score score, Statistics numbers, PageCheck check) {
        for (int seed = 0; seed < SEEDS; seed++) {
            Random random = new Random(seed);
            Shape shape = Shape.random(random);
            String what = "seed " + seed + ", " + shape;
            try (SparseFixture fixture =
                    new SparseFixture(shape, kernels, 2 * shape.pageSize() + 1, 1, 0, random).fill(random, 10)) {
                PageStatistics statistics = new PageStatistics(
                        fixture.config,
                        fixture.pages.count(),
                        shape.pageSize(),
                        new PageStatistics.Kind(score, numbers));
                fixture.filled(statistics, 0);
                for (int head = 0; head < shape.kvHeads(); head++) {
                    float[] queries = fixture.group(0, head);
                    for (int page = 0; page < 2; page++) {
                        float[] scores = scores(kernels, statistics, fixture, queries, head, page);
                        check.check(what, fixture, queries, head, page, scores);
                    }
                }
            }
        }
    }

    /** What pages score for a KV head's queries, [group][pages]. */
    private static float[] scores(
            CpuKernels kernels,
            PageStatistics statistics,
            SparseFixture fixture,
            float[] queries,
            int kvHead,
            int... pages) {
        Shape shape = fixture.shape;
        TokenList list = new TokenList();
        for (int page : pages) {
            list.add(fixture.sequence.page(page), page * shape.pageSize(), -1, 0, TokenList.POSITIONED);
        }
        Selection selection = new Selection();
        QueryTile tile = new QueryTile(fixture.sequence, 0, kvHead, 0, fixture.sequence.length(), 1, Integer.MAX_VALUE);
        selection.start(tile, list, new Pipeline(new Always(0, 0, 0), List.of(), List.of(), 0), null, fixture.config);
        System.arraycopy(queries, 0, selection.queries(), 0, queries.length);
        QuestScorer scorer = new QuestScorer(fixture.config, kernels.selection(), statistics);
        scorer.prepare(selection);
        float[] scores = new float[shape.group() * pages.length];
        scorer.score(selection, 0, pages.length, scores, pages.length, null, 0, 0, new Selection.Scratch());
        return scores;
    }

    @TestEachKernels
    void aPageScoresTheSameToTheBitWhateverStandsBesideIt(CpuKernels kernels) {
        for (int seed = 0; seed < SEEDS; seed++) {
            Random random = new Random(seed);
            Shape shape = Shape.random(random);
            int count = 3 * PageStatistics.PANEL - 5;
            try (SparseFixture fixture =
                    new SparseFixture(shape, kernels, count * shape.pageSize() + 1, 1, 0, random).fill(random, 10)) {
                for (Score score : Score.values()) {
                    PageStatistics statistics = fixture.filled(
                            new PageStatistics(
                                    fixture.config,
                                    fixture.pages.count(),
                                    shape.pageSize(),
                                    new PageStatistics.Kind(score, Statistics.BF16)),
                            0);
                    List<Integer> order =
                            new ArrayList<>(IntStream.range(0, count).boxed().toList());
                    if (seed % 2 == 0) {
                        Collections.reverse(order);
                    } else {
                        Collections.shuffle(order, random);
                    }
                    int head = random.nextInt(shape.kvHeads());
                    float[] queries = fixture.group(0, head);
                    int[] pages = order.stream().mapToInt(i -> i).toArray();
                    float[] all = scores(kernels, statistics, fixture, queries, head, pages);
                    for (int e = 0; e < count; e++) {
                        float[] alone = scores(kernels, statistics, fixture, queries, head, pages[e]);
                        for (int r = 0; r < alone.length; r++) {
                            assertThat(all[r * count + e])
                                    .as("seed %s, %s, %s, page %s, row %s", seed, shape, score, pages[e], r)
                                    .isEqualTo(alone[r]);
                        }
                    }
                }
            }
        }
    }

    @TestEachKernels
    void boundsAreAtLeastTheGreatestProductAndAsTightAsBfloat16Allows(CpuKernels kernels) {
        assertBoundsAreTight(kernels, Statistics.BF16, 0.008);
    }

    @TestEachKernels
    void boundsAreAtLeastTheGreatestProductAndAsTightAsFloat8Allows(CpuKernels kernels) {
        assertBoundsAreTight(kernels, Statistics.FP8, 0.126);
    }

    /** @param rounding what rounding outward adds to a number at most */
    private static void assertBoundsAreTight(CpuKernels kernels, Statistics numbers, double rounding) {
        forPages(kernels, Score.BOUNDS, numbers, (what, fixture, queries, head, page, scores) -> {
            Shape shape = fixture.shape;
            double[] max = new double[shape.headDim()];
            double[] min = new double[shape.headDim()];
            for (int r = 0; r < shape.group(); r++) {
                float[] query = fixture.query(0, head * shape.group() + r);
                double greatest = Double.NEGATIVE_INFINITY;
                double bound = Double.NEGATIVE_INFINITY;
                double tolerance = 0;
                for (int from = page * shape.pageSize(); from < (page + 1) * shape.pageSize(); from += tokens(shape)) {
                    extremes(fixture, head, from, max, min);
                    for (int t = from; t < from + tokens(shape); t++) {
                        greatest = Math.max(greatest, SparseFixture.dot(query, fixture.key(0, head, t)));
                    }
                    // Σ max(q M, q m) = q·(M + m) / 2 + |q|·(M - m) / 2
                    double identity = 0;
                    double magnitude = 0;
                    for (int i = 0; i < query.length; i++) {
                        identity += query[i] * (max[i] + min[i]) / 2 + Math.abs(query[i]) * (max[i] - min[i]) / 2;
                        magnitude += Math.abs(query[i]) * Math.max(Math.abs(max[i]), Math.abs(min[i]));
                    }
                    bound = Math.max(bound, identity);
                    tolerance = Math.max(tolerance, magnitude);
                }
                double score = scores[r];
                assertThat(score).as(what).isGreaterThanOrEqualTo(greatest - 1e-5 * tolerance);
                assertThat(score).as(what).isBetween(bound - 1e-5 * tolerance, bound + rounding * tolerance);
            }
        });
    }

    /** That have statistics in common. */
    private static int tokens(Shape shape) {
        return Math.min(16, shape.pageSize());
    }

    /** Of the keys from {@code from} on that have statistics in common. */
    private static void extremes(SparseFixture fixture, int head, int from, double[] max, double[] min) {
        Arrays.fill(max, Double.NEGATIVE_INFINITY);
        Arrays.fill(min, Double.POSITIVE_INFINITY);
        for (int t = from; t < from + tokens(fixture.shape); t++) {
            float[] key = fixture.key(0, head, t);
            for (int i = 0; i < key.length; i++) {
                max[i] = Math.max(max[i], key[i]);
                min[i] = Math.min(min[i], key[i]);
            }
        }
    }

    @TestEachKernels
    void momentsAreMeanPlusStandardDeviation(CpuKernels kernels) {
        assertMoments(kernels, Statistics.BF16, 0.004);
    }

    @TestEachKernels
    void momentsInFloat8AreNearlyTheSame(CpuKernels kernels) {
        assertMoments(kernels, Statistics.FP8, 0.064);
    }

    /** @param rounding of a number at most, relative to it */
    private static void assertMoments(CpuKernels kernels, Statistics numbers, double rounding) {
        forPages(kernels, Score.MOMENTS, numbers, (what, fixture, queries, head, page, scores) -> {
            Shape shape = fixture.shape;
            int headDim = shape.headDim();
            int tokens = tokens(shape);
            for (int r = 0; r < shape.group(); r++) {
                double best = Double.NEGATIVE_INFINITY;
                double tolerance = 0;
                for (int from = page * shape.pageSize(); from < (page + 1) * shape.pageSize(); from += tokens) {
                    double mean = 0;
                    double variance = 0;
                    double magnitude = 0;
                    for (int i = 0; i < headDim; i++) {
                        double sum = 0;
                        for (int t = from; t < from + tokens; t++) {
                            sum += fixture.key(0, head, t)[i];
                        }
                        double average = sum / tokens;
                        double squares = 0;
                        for (int t = from; t < from + tokens; t++) {
                            squares += Math.pow(fixture.key(0, head, t)[i] - average, 2);
                        }
                        double q = queries[r * headDim + i];
                        mean += q * average;
                        magnitude += Math.abs(q * average);
                        variance += q * q * squares / tokens;
                    }
                    double deviation = Math.sqrt(variance);
                    best = Math.max(best, mean + deviation);
                    tolerance = Math.max(tolerance, magnitude + deviation);
                }
                assertThat((double) scores[r]).as(what).isCloseTo(best, within(rounding * tolerance));
            }
        });
    }

    @TestEachKernels
    void keysOfOneSignAreBoundedToo(CpuKernels kernels) {
        for (float sign : new float[] {-1, 1}) {
            Random random = new Random(1);
            Shape shape = Shape.random(random);
            try (SparseFixture fixture = new SparseFixture(shape, kernels, shape.pageSize() + 1, 1, 0, random)) {
                float[] key = new float[shape.headDim()];
                for (int slot = 0; slot < shape.pageSize(); slot++) {
                    for (int i = 0; i < key.length; i++) {
                        key[i] = sign * (1 + random.nextFloat());
                    }
                    fixture.write(0, 0, slot, key, key);
                }
                PageStatistics.Kind kind = new PageStatistics.Kind(Score.BOUNDS, Statistics.BF16);
                PageStatistics statistics = fixture.filled(
                        new PageStatistics(fixture.config, fixture.pages.count(), shape.pageSize(), kind), 0);
                double[] max = new double[key.length];
                double[] min = new double[key.length];
                extremes(fixture, 0, 0, max, min);
                int[] pairs = statistics.of(fixture.sequence.page(0), 0);
                int page = fixture.sequence.page(0);
                int from = statistics.panel(page, 0) + statistics.lane(page);
                for (int i = 0; i < key.length; i++) {
                    double upper = Float.intBitsToFloat(pairs[from + i * PageStatistics.PANEL] << 16);
                    double lower = Float.intBitsToFloat(pairs[from + i * PageStatistics.PANEL] & 0xffff0000);
                    assertThat(upper).as("dimension %s", i).isBetween(max[i], max[i] + 0.016);
                    assertThat(lower).as("dimension %s", i).isBetween(min[i] - 0.016, min[i]);
                }
            }
        }
    }

    /** Keys of any magnitude, beyond what e4m3 has without a scale: bounds hold in every dimension, exactly. */
    @Test
    void boundsInFloat8HoldInEveryDimensionForKeysOfAnyMagnitude() {
        for (int seed = 0; seed < 200; seed++) {
            Random random = new Random(seed);
            Shape shape = Shape.random(random);
            try (SparseFixture fixture =
                    new SparseFixture(shape, SparseFixture.kernels().get(0), shape.pageSize() + 1, 1, 0, random)) {
                double magnitude = Math.pow(2, random.nextInt(160) - 80);
                int spread = 1 + random.nextInt(30);
                float[] key = new float[shape.headDim()];
                for (int slot = 0; slot < shape.pageSize(); slot++) {
                    for (int i = 0; i < key.length; i++) {
                        key[i] = (float) (magnitude * random.nextGaussian() * Math.pow(2, -random.nextInt(spread)));
                    }
                    fixture.write(0, 0, slot, key, key);
                }
                PageStatistics.Kind kind = new PageStatistics.Kind(Score.BOUNDS, Statistics.FP8);
                PageStatistics statistics = fixture.filled(
                        new PageStatistics(fixture.config, fixture.pages.count(), shape.pageSize(), kind), 0);
                assertThat(statistics.bytes())
                        .isEqualTo(shape.pageSize() / tokens(shape) * (2 * shape.headDim() + 2 * Float.BYTES));
                double[] max = new double[key.length];
                double[] min = new double[key.length];
                extremes(fixture, 0, 0, max, min);
                double greatest = 0;
                for (int i = 0; i < key.length; i++) {
                    greatest = Math.max(greatest, Math.max(Math.abs(max[i]), Math.abs(min[i])));
                }
                // Below the 256th part of 448 times 2^-6 steps are of one size.
                double step = greatest * 0x1p-16;
                int[] words = statistics.of(fixture.sequence.page(0), 0);
                int page = fixture.sequence.page(0);
                int from = statistics.panel(page, 0) + statistics.lane(page);
                float scale = Float.intBitsToFloat(words[from + key.length / 2 * PageStatistics.PANEL]);
                for (int i = 0; i < key.length; i++) {
                    int word = words[from + i / 2 * PageStatistics.PANEL] >>> i % 2 * 16;
                    double upper = Float8.toFloat(word & 0xff) * scale;
                    double lower = Float8.toFloat(word >>> 8 & 0xff) * scale;
                    String what = "seed " + seed + ", dimension " + i;
                    assertThat(upper).as(what).isBetween(max[i], max[i] + Math.abs(max[i]) / 8 + step);
                    assertThat(lower).as(what).isBetween(min[i] - Math.abs(min[i]) / 8 - step, min[i]);
                }
            }
        }
    }
}
