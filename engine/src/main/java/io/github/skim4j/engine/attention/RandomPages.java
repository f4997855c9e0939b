package io.github.skim4j.engine.attention;

import java.util.Objects;

/** Reads random pages: the control that a method must beat clearly, or the task proves nothing. For evaluation. */
public record RandomPages(Budget budget, long seed, Always always) implements PageSelector {

    public RandomPages {
        Objects.requireNonNull(budget, "budget");
        Objects.requireNonNull(always, "always");
    }

    @Override
    public RandomPages withBudget(Budget budget) {
        return new RandomPages(budget, seed, always);
    }

    @Override
    public String name() {
        return "random";
    }

    @Override
    public String spec() {
        return name() + ":budget=" + budget + ",seed=" + seed + "," + always.spec();
    }
}
