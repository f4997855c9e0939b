package io.github.skim4j.engine.attention;

import java.util.Objects;

/** Ranks pages by their exact share of the attention: what the best selector could find. Reads all keys, so it saves nothing; for evaluation. */
public record Oracle(Budget budget, Always always) implements PageSelector {

    public Oracle {
        Objects.requireNonNull(budget, "budget");
        Objects.requireNonNull(always, "always");
    }

    @Override
    public Oracle withBudget(Budget budget) {
        return new Oracle(budget, always);
    }

    @Override
    public String name() {
        return "oracle";
    }

    @Override
    public String spec() {
        return name() + ":budget=" + budget + "," + always.spec();
    }
}
