package io.github.skim4j.engine.attention;

import java.util.Objects;

/**
 * Skim's own cascade: signs of rotated keys (in the spirit of RaBitQ, arXiv 2405.12497) rank all pages, 4-bit keys rank the best of
 * them again, and the best of those are read. A page's score is its share of the estimated attention.
 *
 * @param coarse share of the pages that the signs leave over, or the budget if that is more; 0: the signs alone choose, and no 4-bit
 *     keys are made; {@code null}: {@value #COARSE} where less than {@value #SIGNS_SUFFICE} of the pages are read, else 0
 */
public record Sketch(Budget budget, Double coarse, Always always) implements PageSelector {

    private static final double COARSE = 0.125;

    /** Share of the pages from which on the signs alone find what 4-bit keys would. */
    private static final double SIGNS_SUFFICE = 0.06;

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

    /** Whether 4-bit keys rank what the signs leave over, on sequences of some length at least. */
    public boolean hasSecondLook() {
        if (coarse != null) {
            return coarse > 0;
        }
        return budget.isAbsolute() || budget.share() < SIGNS_SUFFICE;
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
        if (!hasSecondLook() || coarse == null && kept >= SIGNS_SUFFICE * visiblePages) {
            return kept;
        }
        double left = coarse == null ? COARSE : coarse;
        return Math.max((int) Math.ceil(left * visiblePages), kept);
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
