package io.github.skim4j.engine.attention;

import java.util.Objects;

/**
 * Skim's own cascade: signs of rotated keys (in the spirit of RaBitQ, arXiv 2405.12497) rank all pages, 4-bit keys rank the best of
 * them again, and the best of those are read. A page's score is its share of the estimated attention.
 *
 * @param coarse share of the pages that the signs leave over, or the budget if that is more; 0: the signs alone choose, and no 4-bit
 *     keys are made; {@code null} follows the budget
 */
public record Sketch(Budget budget, Double coarse, Always always) implements PageSelector {

    /** What the signs leave over at least, unless it is set. */
    private static final double LEAST_COARSE = 0.125;

    /** Up to this share of the pages they leave over {@value #WIDE} times the budget, beyond it {@value #NARROW} times. */
    private static final double WIDE_COARSE = 0.25;

    private static final int WIDE = 4;

    private static final int NARROW = 2;

    public Sketch {
        Objects.requireNonNull(budget, "budget");
        Objects.requireNonNull(always, "always");
        if (coarse != null) {
            Checks.requireShare(coarse, "sketch coarse");
        }
    }

    @Override
    public Sketch withBudget(Budget budget) {
        return new Sketch(budget, coarse, always);
    }

    /** Whether 4-bit keys rank what the signs leave over. */
    public boolean hasSecondLook() {
        return coarse == null || coarse > 0;
    }

    /**
     * How many pages the signs leave over; if these are all pages, 4-bit keys alone rank. They need more than are read, or they have nothing
     * to choose from and the signs alone decide.
     *
     * @param pages that are read, those that are always read included
     * @param visiblePages that dense attention would read
     */
    public int coarsePages(int pages, int visiblePages) {
        int kept = Math.min(pages, visiblePages);
        int left = coarse == null
                ? Math.max(
                        share(LEAST_COARSE, visiblePages),
                        Math.max(Math.min(WIDE * kept, share(WIDE_COARSE, visiblePages)), NARROW * kept))
                : Math.max(share(coarse, visiblePages), kept);
        return Math.min(left, visiblePages);
    }

    private static int share(double share, int pages) {
        return (int) Math.ceil(share * pages);
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
