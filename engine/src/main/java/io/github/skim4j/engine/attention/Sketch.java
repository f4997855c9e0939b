package io.github.skim4j.engine.attention;

import java.util.Objects;

/**
 * Skim's own cascade: signs of rotated keys (in the spirit of RaBitQ, arXiv 2405.12497) rank all pages, 4-bit keys rank the best of
 * them again, and the best of those are read. A page's score is its share of the estimated attention.
 *
 * @param coarse share of the pages that the signs leave over, or the budget if that is more; {@code null} follows the budget
 */
public record Sketch(Budget budget, Double coarse, Always always) implements PageSelector {

    /** The signs leave over at least this share of the pages if nothing else is said, ... */
    public static final double LEAST_COARSE = 0.125;

    /** ... and at least this many times the budget: 4-bit keys that get no more pages than are read have nothing to choose from. */
    public static final int COARSE_BUDGETS = 2;

    public Sketch {
        Objects.requireNonNull(budget, "budget");
        Objects.requireNonNull(always, "always");
        if (coarse != null) {
            Checks.requirePositiveShare(coarse, "sketch coarse");
        }
    }

    @Override
    public Sketch withBudget(Budget budget) {
        return new Sketch(budget, coarse, always);
    }

    /**
     * How many pages the signs leave over; if these are all pages, 4-bit keys alone rank.
     *
     * @param pages that are read, those that are always read included
     * @param visiblePages that dense attention would read
     */
    public int coarsePages(int pages, int visiblePages) {
        int share = (int) Math.ceil((coarse == null ? LEAST_COARSE : coarse) * visiblePages);
        long least = coarse == null ? (long) COARSE_BUDGETS * pages : pages;
        return (int) Math.min(visiblePages, Math.max(least, share));
    }

    @Override
    public String name() {
        return "sketch";
    }

    @Override
    public String spec() {
        return name() + ":budget=" + budget + (coarse == null ? "" : ",coarse=" + coarse) + "," + always.spec();
    }
}
