package io.github.skim4j.engine.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.skim4j.engine.attention.Always;
import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.attention.Budget;
import io.github.skim4j.engine.attention.DoubleSparsity;
import io.github.skim4j.engine.attention.Oracle;
import io.github.skim4j.engine.attention.PageSelector;
import io.github.skim4j.engine.attention.Quest;
import io.github.skim4j.engine.attention.RandomPages;
import io.github.skim4j.engine.attention.Sketch;
import io.github.skim4j.engine.attention.Twilight;
import io.github.skim4j.engine.attention.VAttention;
import io.github.skim4j.engine.backend.cpu.SparseFixture.Read;
import io.github.skim4j.engine.backend.cpu.SparseFixture.Shape;
import io.github.skim4j.engine.kv.KvCacheConfig.KvType;
import java.util.List;
import java.util.Random;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.function.Function;
import org.junit.jupiter.api.Test;

/** Tokens that read the pages which one before them ranked highest. */
class LastSelectionsTest {

    private static final int STEPS = 23;

    private static Always always(int interval) {
        return new Always(4, 16, 0, interval);
    }

    private static List<Function<Always, PageSelector>> selectors(Budget budget) {
        return List.of(
                always -> new Quest(budget, Quest.Score.MOMENTS, always),
                always -> new Sketch(budget, null, always),
                always -> new Sketch(budget, 0.6, always),
                always -> new Sketch(budget, 1.0, always),
                always -> new DoubleSparsity(budget, 8, always),
                always -> new Oracle(budget, always),
                always -> new RandomPages(budget, 3, always));
    }

    private static SparseFixture fixture(Shape shape, int seed) {
        Random random = new Random(seed);
        int tokens = 400 + random.nextInt(200);
        CpuKernels kernels = SparseFixture.kernels().get(seed % 2);
        return new SparseFixture(shape, kernels, tokens, STEPS, 0, random).fill(random, 10);
    }

    private static Shape shape(int seed) {
        Random random = new Random(seed);
        Shape shape = Shape.random(random);
        return seed % 3 == 2 ? shape.withWindow(250 + random.nextInt(100)) : shape;
    }

    /** The step whose pages a step reads: one to {@code interval - 1} before it, or itself. */
    private static int ranking(SparseFixture fixture, int last, int step, int interval) {
        int first = fixture.tokens - STEPS;
        boolean sameWindow = firstPage(fixture, first + step) == firstPage(fixture, first + last);
        return last >= 0 && step - last < interval && sameWindow ? last : step;
    }

    private static int firstPage(SparseFixture fixture, int position) {
        return Math.max(0, position + 1 - fixture.config.window(0)) / fixture.shape.pageSize();
    }

    @Test
    void tokensReadThePagesThatOneBeforeThemRankedAndNewerOnes() {
        for (int seed = 0; seed < 9; seed++) {
            int interval = 2 + seed % 5;
            for (Function<Always, PageSelector> selector : selectors(Budget.ofShare(0.3))) {
                AttentionMethod method = selector.apply(always(interval));
                AttentionMethod each = selector.apply(always(1));
                try (SparseFixture actual = fixture(shape(seed), seed);
                        SparseFixture expected = fixture(shape(seed), seed)) {
                    List<Read> ranked = List.of();
                    int last = -1;
                    for (int step = 0; step < STEPS; step++) {
                        String what = "seed " + seed + ", " + actual.shape + ", " + method.spec() + ", step " + step;
                        List<Read> reads = actual.run(0, method, step, 1);
                        List<Read> own = expected.run(0, each, step, 1);
                        int of = ranking(actual, last, step, interval);
                        if (of == step) {
                            last = step;
                            ranked = own;
                            assertThat(actual.stats.bytesRead()).as(what).isEqualTo(expected.stats.bytesRead());
                        } else {
                            assertThat(actual.stats.bytesRead())
                                    .as(what)
                                    .isEqualTo(actual.stats.tokensAttended() * actual.pages.tokenBytes());
                        }
                        for (int head = 0; head < reads.size(); head++) {
                            SortedSet<Integer> pages =
                                    new TreeSet<>(ranked.get(head).pages());
                            for (int page = actual.pagesAt(of); page < actual.pagesAt(step); page++) {
                                pages.add(page);
                            }
                            assertThat(reads.get(head).pages()).as(what).containsExactlyElementsOf(pages);
                        }
                    }
                }
            }
        }
    }

    @Test
    void whatPrunesOrSamplesDoesSoForEachToken() {
        for (int seed = 0; seed < 4; seed++) {
            Budget budget = Budget.ofShare(0.3);
            Oracle base = new Oracle(budget, always(STEPS));
            Twilight pruned = new Twilight(base, 0.7, Twilight.Logits.EXACT, base.always());
            VAttention sampled = new VAttention(base, 0.5, 0.5, VAttention.Verify.DENOMINATOR, 0.05, 1);
            try (SparseFixture whole = fixture(shape(seed), seed);
                    SparseFixture prunes = fixture(shape(seed), seed);
                    SparseFixture samples = fixture(shape(seed), seed)) {
                boolean differs = false;
                List<Read> before = List.of();
                for (int step = 0; step < STEPS; step++) {
                    String what = "seed " + seed + ", " + whole.shape + ", step " + step;
                    List<Read> all = whole.run(0, base, step, 1);
                    List<Read> some = prunes.run(0, pruned, step, 1);
                    List<Read> more = samples.run(0, sampled, step, 1);
                    for (int head = 0; head < all.size(); head++) {
                        assertThat(all.get(head).tokens().keySet())
                                .as(what)
                                .containsAll(some.get(head).tokens().keySet());
                        assertThat(more.get(head).tokens().entrySet())
                                .as(what)
                                .containsAll(all.get(head).tokens().entrySet());
                    }
                    differs |= step > 0 && !some.equals(before);
                    before = some;
                }
                assertThat(differs).isTrue();
            }
        }
    }

    @Test
    void tokensOfASpanRankEachForItselfAndAfterThemTheNext() {
        for (int seed = 0; seed < 3; seed++) {
            for (Function<Always, PageSelector> selector : selectors(Budget.ofShare(0.3))) {
                AttentionMethod method = selector.apply(always(STEPS));
                AttentionMethod each = selector.apply(always(1));
                try (SparseFixture actual = fixture(shape(seed), seed);
                        SparseFixture expected = fixture(shape(seed), seed)) {
                    String what = "seed " + seed + ", " + actual.shape + ", " + method.spec();
                    actual.run(0, method, 0, 1);
                    expected.run(0, each, 0, 1);
                    assertThat(actual.run(0, method, 1, 5)).as(what).isEqualTo(expected.run(0, each, 1, 5));
                    assertThat(actual.run(0, method, 6, 1)).as(what).isEqualTo(expected.run(0, each, 6, 1));
                }
            }
        }
    }

    /** A step that failed is tried again, and another method goes on where one ended. */
    @Test
    void aTokenRanksForItselfWhereNoOneOfItsMethodDidBefore() {
        Oracle oracle = new Oracle(Budget.ofShare(0.3), always(STEPS));
        RandomPages random = new RandomPages(Budget.ofShare(0.3), 1, always(STEPS));
        RandomPages each = new RandomPages(Budget.ofShare(0.3), 1, always(1));
        try (SparseFixture actual = fixture(shape(0), 0);
                SparseFixture expected = fixture(shape(0), 0)) {
            actual.run(0, oracle, 0, 1);
            assertThat(actual.run(0, random, 0, 1)).isEqualTo(expected.run(0, each, 0, 1));
            actual.run(0, oracle, 1, 1);
            List<Read> second = expected.run(0, each, 2, 1);
            assertThat(actual.run(0, random, 2, 1)).isEqualTo(second);
            assertThat(actual.run(0, random, 2, 1)).isEqualTo(second);
            // One that has nothing to rank leaves nothing of what the other did.
            Oracle whole = new Oracle(Budget.ofShare(1), always(STEPS));
            actual.run(0, whole, 3, 1);
            actual.run(0, whole, 4, 1);
            assertThat(actual.stats.density()).isEqualTo(1);
        }
    }

    @Test
    void eachLayerHasItsOwn() {
        RandomPages random = new RandomPages(Budget.ofShare(0.3), 1, always(STEPS));
        Shape shape = new Shape(64, 2, 3, 2, 0, 16, KvType.BF16);
        try (SparseFixture fixture = fixture(shape, 0)) {
            List<Read> first = fixture.run(0, random, 0, 1);
            List<Read> second = fixture.run(1, random, 0, 1);
            assertThat(first).isNotEqualTo(second);
            for (int layer = 0; layer < 2; layer++) {
                List<Read> reads = fixture.run(layer, random, 1, 1);
                for (int head = 0; head < reads.size(); head++) {
                    assertThat(reads.get(head).pages())
                            .containsAll((layer == 0 ? first : second).get(head).pages());
                }
            }
        }
    }
}
