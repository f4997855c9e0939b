package io.github.skim4j.engine.attention;

import java.util.Objects;

/**
 * Skim's own cascade: signs of rotated keys (in the spirit of RaBitQ, arXiv 2405.12497) rank all pages, 4-bit keys rank the best of
 * them again, and the best of those are read. A page's score is its share of the estimated attention.
 *
 * @param coarse share of the pages that the signs leave over, or the budget if that is more
 */
public record Sketch(Budget budget, double coarse, Always always) implements PageSelector {

    public static final double DEFAULT_COARSE = 0.125;

    public Sketch {
        Objects.requireNonNull(budget, "budget");
        Objects.requireNonNull(always, "always");
        Checks.requirePositiveShare(coarse, "sketch coarse");
    }

    @Override
    public Sketch withBudget(Budget budget) {
        return new Sketch(budget, coarse, always);
    }

    @Override
    public String name() {
        return "sketch";
    }

    @Override
    public String spec() {
        return name() + ":budget=" + budget + ",coarse=" + coarse + "," + always.spec();
    }
}
