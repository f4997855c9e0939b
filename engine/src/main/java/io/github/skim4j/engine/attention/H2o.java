package io.github.skim4j.engine.attention;

/**
 * Heavy hitters and recent tokens (H2O, arXiv 2306.14048, section 4): each KV head keeps the tokens of the largest attention so far,
 * summed over all queries and its query heads, and the latest ones.
 *
 * @param budget tokens kept, recent ones included
 * @param recent share of the budget that goes to the latest tokens, 0 … 1
 */
public record H2o(Budget budget, double recent) implements EvictionMethod {

    public static final double DEFAULT_RECENT = 0.5;

    public H2o {
        Checks.requireShare(recent, "h2o recent");
    }

    @Override
    public int leastBudget() {
        return 1;
    }

    @Override
    public int observedQueries() {
        return Integer.MAX_VALUE;
    }

    @Override
    public String name() {
        return "h2o";
    }

    @Override
    public String spec() {
        return name() + ":budget=" + budget + ",recent=" + recent;
    }
}
