package io.github.skim4j.cuda;

import io.github.skim4j.cuda.RowMethod.Rank;
import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.attention.DoubleSparsity;
import io.github.skim4j.engine.attention.PageSelector;
import io.github.skim4j.engine.attention.Quest;
import io.github.skim4j.engine.attention.Sketch;
import io.github.skim4j.engine.attention.Twilight;
import java.util.LinkedHashSet;
import java.util.Set;

/**
 * A kind of data that selection reads in place of keys; see {@code pagedata.cuh}.
 *
 * @param rank the ranking that reads it
 * @param channels dimensions of a key that it holds
 */
record PageData(Rank rank, int channels) {

    /** Stored channels of 4-bit keys are a multiple of this. */
    private static final int CHANNELS = 16;

    /** Of statistics in FP8. */
    private static final int SCALE_BYTES = 16;

    /** Least number of tokens that a sketch's mean is taken of. */
    static final int MEAN_TOKENS = 256;

    /** What a method reads. */
    static Set<PageData> of(AttentionMethod method, int headDim) {
        Set<PageData> kinds = new LinkedHashSet<>();
        PageSelector selector = method.selector();
        if (selector != null) {
            addRanking(selector, headDim, kinds);
        }
        if (method instanceof Twilight twilight && twilight.p() < 1 && twilight.logits() == Twilight.Logits.INT4) {
            kinds.add(new PageData(Rank.INT4, headDim));
        }
        return kinds;
    }

    private static void addRanking(PageSelector selector, int headDim, Set<PageData> kinds) {
        if (selector instanceof Quest quest) {
            kinds.add(new PageData(Rank.of(quest), headDim));
        } else if (selector instanceof Sketch sketch) {
            kinds.add(new PageData(Rank.SKETCH, headDim));
            if (sketch.hasSecondLook()) {
                kinds.add(new PageData(Rank.INT4, headDim));
            }
        } else if (selector instanceof DoubleSparsity sparsity) {
            kinds.add(new PageData(Rank.LABELS, storedChannels(sparsity.channels())));
        }
    }

    static int storedChannels(int channels) {
        return (channels + CHANNELS - 1) / CHANNELS * CHANNELS;
    }

    /** Bytes for a page of one layer and KV head. */
    int bytes(int pageSize) {
        return switch (rank) {
            case BOUNDS, MOMENTS -> pageSize / Quest.STATISTICS_TOKENS * Integer.BYTES * channels;
            case BOUNDS8, MOMENTS8 -> pageSize / Quest.STATISTICS_TOKENS * (2 * channels + SCALE_BYTES);
            case SKETCH -> pageSize * ((channels + 31) / 32 * 4 + 2);
            case INT4, LABELS -> pageSize * (channels / 2 + 4);
            default -> throw new IllegalStateException(rank + " reads no data");
        };
    }

    /** Tokens that a sequence must have in whole pages before there can be any. */
    int minTokens() {
        return rank == Rank.SKETCH ? MEAN_TOKENS : 0;
    }

    /** Tokens that a sequence must have in whole pages before there can be all that a method reads. */
    static int minTokens(AttentionMethod method) {
        return method.selector() instanceof Sketch ? MEAN_TOKENS : 0;
    }

    /** The kernel that makes it, but for cache type and head size. */
    String fillKernel() {
        return switch (rank) {
            case BOUNDS -> "fill_bounds";
            case MOMENTS -> "fill_moments";
            case BOUNDS8 -> "fill_bounds8";
            case MOMENTS8 -> "fill_moments8";
            case SKETCH -> "fill_sketch";
            default -> "fill_int4";
        };
    }
}
