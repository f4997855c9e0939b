package io.github.skim4j.engine.attention;

import java.util.Locale;
import java.util.Objects;

/**
 * Query-aware page selection (Quest, arXiv 2406.10774, section 3.2): pages are ranked by what is known of their keys' distribution in
 * each dimension. For grouped queries a page has the largest of its heads' scores, each relative to the head's best page. A page of more
 * than {@value #STATISTICS_TOKENS} tokens counts as much as the best of its parts of so many.
 *
 * @param score what a page's score is
 * @param statistics how what it is made of is stored
 */
public record Quest(Budget budget, Score score, Statistics statistics, Always always) implements PageSelector {

    /** A score from keys' statistics; both read the same number of bytes. */
    public enum Score {
        /** Upper bound of q·k from the least and greatest value of each dimension, as published. */
        BOUNDS,
        /** Mean of q·k plus a standard deviation, from each dimension's mean and variance. */
        MOMENTS
    }

    /** Numbers that statistics are stored in, two for each dimension. */
    public enum Statistics {
        BF16,
        /** e4m3 and scales of their own for each KV head: half as much to read. Bounds are rounded outward, so that they stay bounds. */
        FP8
    }

    /** Most tokens that have statistics in common, those of the paper's pages: of more they say too little. */
    public static final int STATISTICS_TOKENS = 16;

    public static final Score DEFAULT_SCORE = Score.MOMENTS;
    public static final Statistics DEFAULT_STATISTICS = Statistics.BF16;

    public Quest {
        Objects.requireNonNull(budget, "budget");
        Objects.requireNonNull(score, "score");
        Objects.requireNonNull(statistics, "statistics");
        Objects.requireNonNull(always, "always");
    }

    /** With {@link #DEFAULT_STATISTICS}. */
    public Quest(Budget budget, Score score, Always always) {
        this(budget, score, DEFAULT_STATISTICS, always);
    }

    @Override
    public Quest withBudget(Budget budget) {
        return new Quest(budget, score, statistics, always);
    }

    @Override
    public String name() {
        return "quest";
    }

    @Override
    public String spec() {
        return name() + ":budget=" + budget + ",score=" + word(score) + ",statistics=" + word(statistics) + ","
                + always.spec();
    }

    private static String word(Enum<?> constant) {
        return constant.name().toLowerCase(Locale.ROOT);
    }
}
