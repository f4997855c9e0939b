package io.github.skim4j.engine.attention;

import java.util.Locale;
import java.util.Objects;

/**
 * Query-aware page selection (Quest, arXiv 2406.10774, section 3.2): pages are ranked by what is known of their keys' distribution in
 * each dimension. For grouped queries a page has the largest of its heads' scores, each relative to the head's best page.
 *
 * @param score what a page's score is
 */
public record Quest(Budget budget, Score score, Always always) implements PageSelector {

    /** A page's score from its keys' statistics; both read the same number of bytes. */
    public enum Score {
        /** Upper bound of q·k from the least and greatest value of each dimension, as published. */
        BOUNDS,
        /** Mean of q·k plus a standard deviation, from each dimension's mean and variance. */
        MOMENTS
    }

    public static final Score DEFAULT_SCORE = Score.MOMENTS;

    public Quest {
        Objects.requireNonNull(budget, "budget");
        Objects.requireNonNull(score, "score");
        Objects.requireNonNull(always, "always");
    }

    @Override
    public Quest withBudget(Budget budget) {
        return new Quest(budget, score, always);
    }

    @Override
    public String name() {
        return "quest";
    }

    @Override
    public String spec() {
        return name() + ":budget=" + budget + ",score=" + score.name().toLowerCase(Locale.ROOT) + "," + always.spec();
    }
}
