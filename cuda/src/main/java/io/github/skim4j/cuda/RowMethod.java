package io.github.skim4j.cuda;

import io.github.skim4j.engine.attention.Always;
import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.attention.Budget;
import io.github.skim4j.engine.attention.DoubleSparsity;
import io.github.skim4j.engine.attention.PageSelector;
import io.github.skim4j.engine.attention.Quest;
import io.github.skim4j.engine.attention.RandomPages;
import io.github.skim4j.engine.attention.Sketch;
import io.github.skim4j.engine.attention.Twilight;
import io.github.skim4j.engine.attention.VAttention;
import java.nio.ByteBuffer;

/**
 * What one token reads of a layer's cache: the struct of the same name in {@code selection.cuh}.
 *
 * @param first ranks all pages that the token sees; of the best are kept
 * @param firstPages as many as this, those that are always read included
 * @param second ranks what {@code first} left
 * @param labelChannels stored channels for {@link Rank#LABELS}
 * @param topP share of the attention that is kept of what the ranks left; 1 keeps all
 * @param visiblePages that {@code first} ranks; 0 if all are read
 * @param kept the pages go to slot {@code kept - 1} for the tokens after this one, or, if negative, come from slot {@code -kept - 1}
 */
record RowMethod(
        Rank first,
        int firstPages,
        Rank second,
        int secondPages,
        float topP,
        boolean exactLogits,
        Always always,
        VAttention sample,
        long seed,
        int labelChannels,
        int visiblePages,
        int kept) {

    static final int BYTES = 64;

    /** Bit of {@code verify} that makes pages what is sampled: they vary less than tokens, so that fewer are drawn. */
    private static final int SAMPLE_PAGES = 4;

    private static final int ALL = Integer.MAX_VALUE;

    static final RowMethod DENSE =
            new RowMethod(Rank.NONE, ALL, Rank.NONE, ALL, 1, false, Always.DEFAULT, null, 0, 0, 0, 0);

    /** Ways to rank pages, in the order of the kernels' numbers. */
    enum Rank {
        NONE,
        BOUNDS,
        MOMENTS,
        SKETCH,
        INT4,
        LABELS,
        EXACT,
        RANDOM,
        /** {@link #BOUNDS} in FP8. */
        BOUNDS8,
        /** {@link #MOMENTS} in FP8. */
        MOMENTS8,
        /** None: a token before ranked them. */
        REUSED;

        static Rank of(Quest quest) {
            boolean fp8 = quest.statistics() == Quest.Statistics.FP8;
            return quest.score() == Quest.Score.BOUNDS ? fp8 ? BOUNDS8 : BOUNDS : fp8 ? MOMENTS8 : MOMENTS;
        }
    }

    /**
     * @param visibleTokens tokens that dense attention would read
     * @param visiblePages pages on which they lie
     */
    static RowMethod of(AttentionMethod method, int visibleTokens, int visiblePages, int pageSize) {
        if (method instanceof PageSelector selector) {
            return ranked(selector, visibleTokens, visiblePages, pageSize);
        }
        if (method instanceof Twilight twilight) {
            RowMethod base =
                    twilight.base() == null ? DENSE : ranked(twilight.base(), visibleTokens, visiblePages, pageSize);
            return new RowMethod(
                    base.first,
                    base.firstPages,
                    base.second,
                    base.secondPages,
                    (float) twilight.p(),
                    twilight.logits() == Twilight.Logits.EXACT,
                    twilight.always(),
                    null,
                    base.seed,
                    base.labelChannels,
                    base.visiblePages,
                    0);
        }
        if (method instanceof VAttention sample) {
            RowMethod heavy = ranked(sample.heavy(), visibleTokens, visiblePages, pageSize);
            return new RowMethod(
                    heavy.first,
                    heavy.firstPages,
                    heavy.second,
                    heavy.secondPages,
                    1,
                    false,
                    sample.heavy().always(),
                    sample,
                    sample.seed(),
                    heavy.labelChannels,
                    heavy.visiblePages,
                    0);
        }
        return DENSE;
    }

    private static RowMethod ranked(PageSelector selector, int visibleTokens, int visiblePages, int pageSize) {
        int pages = pages(selector.budget(), visibleTokens, visiblePages, pageSize);
        long seed = selector instanceof RandomPages random ? random.seed() : 0;
        if (selector instanceof Sketch sketch) {
            int coarse = sketch.coarsePages(pages, visiblePages);
            boolean again = coarse > pages;
            return new RowMethod(
                    Rank.SKETCH,
                    coarse,
                    again ? Rank.INT4 : Rank.NONE,
                    again ? pages : ALL,
                    1,
                    false,
                    selector.always(),
                    null,
                    seed,
                    0,
                    visiblePages,
                    0);
        }
        int channels = selector instanceof DoubleSparsity sparsity ? PageData.storedChannels(sparsity.channels()) : 0;
        return new RowMethod(
                rank(selector),
                pages,
                Rank.NONE,
                ALL,
                1,
                false,
                selector.always(),
                null,
                seed,
                channels,
                visiblePages,
                0);
    }

    /** The same, and what the ranks leave goes to a slot. */
    RowMethod keptIn(int slot) {
        return copy(first, firstPages, second, secondPages, slot + 1);
    }

    /** The same with {@code pages} from a slot in place of what the ranks would leave. */
    RowMethod reusedFrom(int slot, int pages) {
        return copy(Rank.REUSED, pages, Rank.NONE, ALL, -slot - 1);
    }

    private RowMethod copy(Rank first, int firstPages, Rank second, int secondPages, int kept) {
        return new RowMethod(
                first,
                firstPages,
                second,
                secondPages,
                topP,
                exactLogits,
                always,
                sample,
                seed,
                labelChannels,
                first == Rank.REUSED ? 0 : visiblePages,
                kept);
    }

    /** A window that begins within a page lies on one page more than its tokens fill. */
    private static int pages(Budget budget, int visibleTokens, int visiblePages, int pageSize) {
        int tokens = budget.tokens(visibleTokens);
        return tokens >= visibleTokens ? visiblePages : (tokens + pageSize - 1) / pageSize;
    }

    private static Rank rank(PageSelector selector) {
        if (selector instanceof Quest quest) {
            return Rank.of(quest);
        }
        if (selector instanceof DoubleSparsity) {
            return Rank.LABELS;
        }
        return selector instanceof RandomPages ? Rank.RANDOM : Rank.EXACT;
    }

    /** Dimensions of a key that {@link #first} reads. */
    int channels(int headDim) {
        return first == Rank.LABELS ? labelChannels : headDim;
    }

    boolean isDense() {
        return first == Rank.NONE && topP >= 1 && sample == null;
    }

    /** Whether all of so many pages are read whole. */
    boolean keepsAll(int pages) {
        return firstPages >= pages && secondPages >= pages && topP >= 1 && sample == null;
    }

    /** Pages that a list has at most, whatever their size; {@link Integer#MAX_VALUE} if only the sequence says so. */
    int mostPages() {
        if (sample != null) {
            return ALL;
        }
        return Math.max(Math.min(firstPages, secondPages), mostForced());
    }

    /** Pages that are always read, and one other that is kept beside them, at most. */
    private int mostForced() {
        return always.sinks() / CudaBackend.LEAST_PAGE_SIZE + always.recent() / CudaBackend.LEAST_PAGE_SIZE + 4;
    }

    /**
     * Pages that the ranks leave over.
     *
     * @param position of the token
     * @param pages that it sees
     */
    int listed(int position, int pages, int pageSize) {
        int firstPage = position / pageSize + 1 - pages;
        int leading = Math.min(pages, Math.max(0, (always.sinks() + pageSize - 1) / pageSize - firstPage));
        int recent = Math.max(0, position + 1 - Math.max(1, always.recent())) / pageSize;
        int forced = leading + Math.max(0, firstPage + pages - Math.max(firstPage + leading, recent));
        return left(secondPages, left(firstPages, pages, forced), forced);
    }

    /** How many of {@code from} pages are left where {@code budget} may be: those that are always read, and one other at least. */
    private static int left(int budget, int from, int forced) {
        return Math.min(from, Math.max(1, budget - forced) + forced);
    }

    /** Pages that {@link #first} ranks; 0 if it keeps all. */
    int ranked() {
        return first == Rank.NONE || firstPages >= visiblePages ? 0 : visiblePages;
    }

    /** Pages that {@link #second} ranks, at most. */
    int rankedAgain() {
        return second == Rank.NONE ? 0 : Math.min(visiblePages, Math.max(firstPages, mostForced()));
    }

    /** Whether top-p needs weights of tokens. */
    boolean prunes() {
        return topP < 1;
    }

    boolean verifiesNumerator() {
        return sample != null && sample.verify() != VAttention.Verify.DENOMINATOR;
    }

    /** @param step position of the token, by which its random numbers differ from others' */
    void write(ByteBuffer target, int at, int step) {
        target.putInt(at, first.ordinal())
                .putInt(at + 4, firstPages)
                .putInt(at + 8, second.ordinal())
                .putInt(at + 12, secondPages)
                .putFloat(at + 16, topP)
                .putInt(at + 20, exactLogits ? 1 : 0)
                .putInt(at + 24, always.sinks())
                .putInt(at + 28, always.recent())
                .putFloat(at + 32, sample == null ? 0 : (float) sample.epsilon())
                .putFloat(at + 36, sample == null ? 0 : (float) sample.quantile())
                .putFloat(at + 40, sample == null ? 0 : (float) sample.pilot())
                .putInt(at + 44, sample == null ? 0 : sample.verify().ordinal() | SAMPLE_PAGES)
                .putLong(at + 48, seed)
                .putInt(at + 56, step)
                .putInt(at + 60, kept);
    }
}
