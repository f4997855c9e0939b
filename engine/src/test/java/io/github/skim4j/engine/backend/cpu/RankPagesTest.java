package io.github.skim4j.engine.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.skim4j.engine.attention.Always;
import io.github.skim4j.engine.attention.Budget;
import io.github.skim4j.engine.attention.DoubleSparsity;
import io.github.skim4j.engine.attention.Oracle;
import io.github.skim4j.engine.attention.PageSelector;
import io.github.skim4j.engine.attention.Quest;
import io.github.skim4j.engine.attention.Quest.Score;
import io.github.skim4j.engine.attention.RandomPages;
import io.github.skim4j.engine.attention.Sketch;
import io.github.skim4j.engine.backend.cpu.SparseFixture.Read;
import io.github.skim4j.engine.backend.cpu.SparseFixture.Shape;
import io.github.skim4j.engine.kv.KvCacheConfig.KvType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;

/** Which pages the selectors read, against naive scores and the specified rule for query groups. */
class RankPagesTest {

    private static final int SEEDS = 8;

    private interface MakeMethod {
        PageSelector make(Budget budget, Always always);
    }

    /** Scores of a query head for the pages before the one being filled, made comparable between heads. */
    private interface NaiveScores {
        double[] scores(SparseFixture fixture, int step, int head);
    }

    private static void check(CpuKernels kernels, MakeMethod make, NaiveScores naive, double tolerance) {
        for (int seed = 0; seed < SEEDS; seed++) {
            Random random = new Random(seed);
            Shape shape = Shape.random(random);
            int tokens = 260 + random.nextInt(8 * shape.pageSize());
            int steps = 1 + random.nextInt(3);
            Always always = new Always(random.nextInt(20), random.nextInt(40), 0);
            Budget budget = random.nextBoolean()
                    ? Budget.ofTokens(always.sinks() + always.recent() + (2 + random.nextInt(4)) * shape.pageSize())
                    : Budget.ofShare(0.1 + 0.5 * random.nextDouble());
            PageSelector method = make.make(budget, always);
            String what = "seed " + seed + ", " + shape + ", " + tokens + " tokens, " + method.spec();
            try (SparseFixture fixture = new SparseFixture(shape, kernels, tokens, steps, 0, random).fill(random, 12)) {
                int layer = shape.layers() - 1;
                List<Read> reads = fixture.run(layer, method, steps);
                for (int step = 0; step < steps; step++) {
                    for (int head = 0; head < shape.kvHeads(); head++) {
                        Read read = reads.get(step * shape.kvHeads() + head);
                        assertBest(what, fixture, step, head, method, read, naive, tolerance);
                    }
                }
            }
        }
    }

    private static void assertBest(
            String what,
            SparseFixture fixture,
            int step,
            int kvHead,
            PageSelector method,
            Read read,
            NaiveScores naive,
            double tolerance) {
        Shape shape = fixture.shape;
        int pageSize = shape.pageSize();
        int pages = fixture.pagesAt(step);
        int length = fixture.tokens - fixture.steps + step + 1;
        TreeSet<Integer> kept = new TreeSet<>(read.pages());
        TreeSet<Integer> forced = new TreeSet<>();
        for (int slot = 0; slot < length; slot++) {
            if (slot < method.always().sinks()
                    || slot >= length - method.always().recent()
                    || slot / pageSize == pages - 1) {
                forced.add(slot / pageSize);
            }
        }
        assertThat(read.pages()).as(what).doesNotHaveDuplicates().isSorted();
        assertThat(kept).as(what).containsAll(forced);
        for (int page : kept) {
            assertThat(read.whole(page * pageSize, Math.min(length, (page + 1) * pageSize)))
                    .as(what)
                    .isTrue();
        }
        int budget = (method.budget().tokens(length) + pageSize - 1) / pageSize;
        assertThat(kept).as(what).hasSize(Math.min(pages, Math.max(budget, forced.size() + 1)));

        double[] best = new double[pages - 1];
        Arrays.fill(best, Double.NEGATIVE_INFINITY);
        for (int r = 0; r < shape.group(); r++) {
            double[] scores = naive.scores(fixture, step, kvHead * shape.group() + r);
            for (int page = 0; page < best.length; page++) {
                best[page] = Math.max(best[page], scores[page]);
            }
        }
        double worstKept = Double.POSITIVE_INFINITY;
        double bestDropped = Double.NEGATIVE_INFINITY;
        for (int page = 0; page < best.length; page++) {
            if (!kept.contains(page)) {
                bestDropped = Math.max(bestDropped, best[page]);
            } else if (!forced.contains(page)) {
                worstKept = Math.min(worstKept, best[page]);
            }
        }
        assertThat(worstKept).as(what).isGreaterThanOrEqualTo(bestDropped - tolerance);
    }

    private static double[] lessMaximum(double[] scores) {
        double max = Arrays.stream(scores).max().orElseThrow();
        return Arrays.stream(scores).map(score -> score - max).toArray();
    }

    /** log of each page's share of the sum over all pages before the one being filled. */
    private static double[] logShares(double[] logits, int pageSize, int pages) {
        double[] shares = SparseFixture.softmax(Arrays.copyOf(logits, pages * pageSize));
        double[] sums = new double[pages];
        for (int slot = 0; slot < shares.length; slot++) {
            sums[slot / pageSize] += shares[slot];
        }
        return Arrays.stream(sums).map(Math::log).toArray();
    }

    private static double[] questScores(SparseFixture fixture, int step, int head, Score score) {
        Shape shape = fixture.shape;
        float[] query = fixture.query(step, head);
        double[] scores = new double[fixture.pagesAt(step) - 1];
        Arrays.fill(scores, Double.NEGATIVE_INFINITY);
        int tokens = Math.min(Quest.STATISTICS_TOKENS, shape.pageSize());
        for (int from = 0; from < scores.length * shape.pageSize(); from += tokens) {
            float[][] keys = new float[tokens][];
            for (int t = 0; t < tokens; t++) {
                keys[t] = fixture.key(shape.layers() - 1, head / shape.group(), from + t);
            }
            double mean = 0;
            double spread = 0;
            double bound = 0;
            for (int i = 0; i < query.length; i++) {
                double max = Double.NEGATIVE_INFINITY;
                double min = Double.POSITIVE_INFINITY;
                double sum = 0;
                double squares = 0;
                for (float[] key : keys) {
                    max = Math.max(max, key[i]);
                    min = Math.min(min, key[i]);
                    sum += key[i];
                    squares += (double) key[i] * key[i];
                }
                double average = sum / tokens;
                bound += Math.max(query[i] * max, query[i] * min);
                mean += query[i] * average;
                spread += query[i] * query[i] * (squares / tokens - average * average);
            }
            int page = from / shape.pageSize();
            scores[page] = Math.max(scores[page], score == Score.BOUNDS ? bound : mean + Math.sqrt(spread));
        }
        return lessMaximum(scores);
    }

    /** Statistics are bfloat16: ties within what that rounds off are open. */
    @TestEachKernels
    void questReadsThePagesOfTheGreatestBounds(CpuKernels kernels) {
        check(
                kernels,
                (budget, always) -> new Quest(budget, Score.BOUNDS, always),
                (fixture, step, head) -> questScores(fixture, step, head, Score.BOUNDS),
                0.2);
    }

    /** Those of bounds in FP8, computed from the definition. */
    @TestEachKernels
    void questReadsThePagesOfTheGreatestBoundsInFloat8(CpuKernels kernels) {
        check(
                kernels,
                (budget, always) -> new Quest(budget, Score.BOUNDS, Quest.Statistics.FP8, always),
                (fixture, step, head) -> float8BoundScores(fixture, step, head),
                1e-4);
    }

    private static double[] float8BoundScores(SparseFixture fixture, int step, int head) {
        Shape shape = fixture.shape;
        float[] query = fixture.query(step, head);
        double[] scores = new double[fixture.pagesAt(step) - 1];
        Arrays.fill(scores, Double.NEGATIVE_INFINITY);
        int tokens = Math.min(Quest.STATISTICS_TOKENS, shape.pageSize());
        for (int from = 0; from < scores.length * shape.pageSize(); from += tokens) {
            float[] max = new float[query.length];
            float[] min = new float[query.length];
            Arrays.fill(max, Float.NEGATIVE_INFINITY);
            Arrays.fill(min, Float.POSITIVE_INFINITY);
            float greatest = 0;
            for (int t = from; t < from + tokens; t++) {
                float[] key = fixture.key(shape.layers() - 1, head / shape.group(), t);
                for (int i = 0; i < query.length; i++) {
                    max[i] = Math.max(max[i], key[i]);
                    min[i] = Math.min(min[i], key[i]);
                    greatest = Math.max(greatest, Math.abs(key[i]));
                }
            }
            float scale = Float8.scale(greatest);
            double bound = 0;
            for (int i = 0; i < query.length; i++) {
                bound += Math.max(
                        query[i] * (double) scale * Float8.toFloat(Float8.ceil(max[i] / scale)),
                        query[i] * (double) scale * Float8.toFloat(Float8.floor(min[i] / scale)));
            }
            int page = from / shape.pageSize();
            scores[page] = Math.max(scores[page], bound);
        }
        return lessMaximum(scores);
    }

    @TestEachKernels
    void questReadsThePagesOfTheGreatestMoments(CpuKernels kernels) {
        check(
                kernels,
                (budget, always) -> new Quest(budget, Score.MOMENTS, always),
                (fixture, step, head) -> questScores(fixture, step, head, Score.MOMENTS),
                0.05);
    }

    /** On keys of which some stand out, FP8 statistics choose nearly the same pages and as much of the attention. */
    @Test
    void questInFloat8ReadsNearlyTheSamePages() {
        for (Score score : Score.values()) {
            double same = 0;
            double mass = 0;
            double massInFloat8 = 0;
            int seeds = 40;
            for (int seed = 0; seed < seeds; seed++) {
                Random random = new Random(seed);
                Shape shape = new Shape(RandomModels.pick(random, List.of(64, 128)), 1, 1, 1, 0, 16, KvType.BF16);
                Always always = new Always(0, 0, 0);
                Budget budget = Budget.ofShare(0.125);
                try (SparseFixture fixture =
                        new SparseFixture(shape, SparseFixture.kernels().get(1), 2049, 1, 0, random).fill(random, 20)) {
                    Read bf16 =
                            fixture.run(0, new Quest(budget, score, always), 1).get(0);
                    Read fp8 = fixture.run(0, new Quest(budget, score, Quest.Statistics.FP8, always), 1)
                            .get(0);
                    TreeSet<Integer> both = new TreeSet<>(bf16.pages());
                    both.retainAll(fp8.pages());
                    same += (double) both.size() / bf16.pages().size() / seeds;
                    double[] shares = SparseFixture.softmax(fixture.logits(0, 0, 0));
                    mass += bf16.tokens().keySet().stream()
                                    .mapToDouble(slot -> shares[slot])
                                    .sum()
                            / seeds;
                    massInFloat8 += fp8.tokens().keySet().stream()
                                    .mapToDouble(slot -> shares[slot])
                                    .sum()
                            / seeds;
                }
            }
            assertThat(same).as("%s", score).isGreaterThan(0.96);
            assertThat(massInFloat8).as("%s", score).isGreaterThan(mass - 0.005);
        }
    }

    @TestEachKernels
    void theOracleReadsThePagesOfTheGreatestExactShare(CpuKernels kernels) {
        check(
                kernels,
                Oracle::new,
                (fixture, step, head) -> logShares(
                        fixture.logits(fixture.shape.layers() - 1, step, head),
                        fixture.shape.pageSize(),
                        fixture.pagesAt(step) - 1),
                1e-4);
    }

    @TestEachKernels
    void aSketchThatDropsNothingRanksByTheSharesOf4BitKeys(CpuKernels kernels) {
        check(
                kernels,
                (budget, always) -> new Sketch(budget, 1.0, always),
                (fixture, step, head) -> logShares(
                        quantizedLogits(fixture, step, head, null),
                        fixture.shape.pageSize(),
                        fixture.pagesAt(step) - 1),
                1e-3);
    }

    @TestEachKernels
    void doubleSparsityRanksByTheSharesOfLabelChannels(CpuKernels kernels) {
        check(
                kernels,
                (budget, always) -> new DoubleSparsity(budget, 8, always),
                (fixture, step, head) -> logShares(
                        quantizedLogits(fixture, step, head, fixture.labelChannels.first(8)),
                        fixture.shape.pageSize(),
                        fixture.pagesAt(step) - 1),
                1e-3);
    }

    /** Logits from 4-bit keys of the last layer; {@code dimensions} [layer][kvHead][channel] are those that count, all if {@code null}. */
    private static double[] quantizedLogits(SparseFixture fixture, int step, int head, int[][][] dimensions) {
        Shape shape = fixture.shape;
        int layer = shape.layers() - 1;
        int kvHead = head / shape.group();
        QuantizedKeys keys = fixture.filled(
                new QuantizedKeys(fixture.config, shape.pageSize(), fixture.pages.count(), dimensions), layer);
        float[] query = fixture.query(step, head);
        double[] logits = new double[(fixture.pagesAt(step) - 1) * shape.pageSize()];
        for (int slot = 0; slot < logits.length; slot++) {
            float[] key = decoded(keys, fixture, layer, kvHead, slot);
            for (int c = 0; c < key.length; c++) {
                logits[slot] += (double) query[keys.dimension(layer, kvHead, c)] * key[c];
            }
        }
        return logits;
    }

    private static float[] decoded(QuantizedKeys keys, SparseFixture fixture, int layer, int kvHead, int slot) {
        int pageSize = fixture.shape.pageSize();
        int[] words = keys.of(fixture.sequence.page(slot / pageSize), layer);
        int from = keys.offset(fixture.sequence.page(slot / pageSize), kvHead) + slot % pageSize;
        int pair = words[from + keys.channels() / 8 * pageSize];
        float[] key = new float[keys.channels()];
        for (int i = 0; i < key.length; i++) {
            int level = words[from + i / 8 * pageSize] >>> i % 8 * 4 & 15;
            key[i] = Float.intBitsToFloat(pair << 16) * level + Float.intBitsToFloat(pair & 0xffff0000);
        }
        return key;
    }

    /** What the signs leave over holds the pages of the greatest estimates; of those 4 bits pick. */
    @Test
    void aSketchFindsAKeyThatStandsOut() {
        for (int seed = 0; seed < 20; seed++) {
            Random random = new Random(seed);
            Shape shape = new Shape(64, 2, 4, 1, 0, 16, KvType.BF16);
            try (SparseFixture fixture =
                    new SparseFixture(shape, SparseFixture.kernels().get(1), 1500, 1, 0, random).fill(random, 0)) {
                int slot = 16 + random.nextInt(1300);
                float[] key = fixture.key(0, 1, slot);
                float[] query = fixture.query(0, 4 + random.nextInt(4));
                for (int i = 0; i < 64; i++) {
                    key[i] += 10 * query[i];
                }
                fixture.write(0, 1, slot, key, key);
                Sketch method = new Sketch(Budget.ofTokens(48), 0.125, new Always(4, 16, 0));
                assertThat(fixture.run(0, method, 1).get(1).tokens().keySet())
                        .as("seed %s", seed)
                        .contains(slot);
            }
        }
    }

    @Test
    void randomPagesAreRepeatableAndEachIsReadAboutAsOften() {
        Random random = new Random(1);
        Shape shape = new Shape(16, 1, 2, 1, 0, 8, KvType.BF16);
        int pages = 40;
        int trials = 2000;
        try (SparseFixture fixture = new SparseFixture(
                        shape, SparseFixture.kernels().get(0), pages * 8 + 1, 1, 0, random)
                .fill(random, 10)) {
            long[] counts = new long[pages];
            for (int seed = 0; seed < trials; seed++) {
                RandomPages method = new RandomPages(Budget.ofTokens(8 * 11), seed, new Always(0, 0, 0));
                Read read = fixture.run(0, method, 1).get(0);
                assertThat(read.pages()).hasSize(11).endsWith(pages);
                read.pages().stream().filter(page -> page < pages).forEach(page -> counts[page]++);
                if (seed < 20) {
                    assertThat(fixture.run(0, method, 1).get(0)).isEqualTo(read);
                }
            }
            // Each a quarter of the times: 500, with a standard deviation of 19.
            for (long count : counts) {
                assertThat(count).isBetween(410L, 590L);
            }
        }
    }

    @Test
    void headsAndLayersReadRandomPagesOfTheirOwn() {
        Random random = new Random(2);
        Shape shape = new Shape(16, 3, 2, 2, 0, 8, KvType.BF16);
        RandomPages method = new RandomPages(Budget.ofTokens(100), 0, new Always(0, 0, 0));
        try (SparseFixture fixture =
                new SparseFixture(shape, SparseFixture.kernels().get(0), 800, 1, 0, random).fill(random, 10)) {
            List<Read> reads = new ArrayList<>(fixture.run(0, method, 1));
            reads.addAll(fixture.run(1, method, 1));
            assertThat(reads).doesNotHaveDuplicates();
        }
    }

    @Test
    void layersThatStayDenseReadEverything() {
        Random random = new Random(3);
        Shape shape = new Shape(16, 1, 2, 2, 0, 8, KvType.BF16);
        Quest method = new Quest(Budget.ofTokens(16), Score.BOUNDS, new Always(0, 0, 1));
        try (SparseFixture fixture =
                new SparseFixture(shape, SparseFixture.kernels().get(0), 100, 1, 0, random).fill(random, 10)) {
            assertThat(fixture.run(0, method, 1).get(0).tokens()).hasSize(100);
            assertThat(fixture.stats.tokensTotal()).isZero();
            assertThat(fixture.run(1, method, 1).get(0).tokens()).hasSize(8 + 4);
            assertThat(fixture.stats.tokensTotal()).isEqualTo(100);
        }
    }
}
