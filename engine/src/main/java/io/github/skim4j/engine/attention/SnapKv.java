package io.github.skim4j.engine.attention;

/**
 * Evicts once, when the dense prefill ends (SnapKV, arXiv 2404.14469, section 4): each KV head keeps the last tokens and those to
 * which their queries attend most, averaged over its query heads and pooled over neighbours. What follows is kept whole.
 *
 * @param budget tokens of the prefill kept, the window included
 * @param window last tokens of the prefill, whose queries vote
 * @param kernel tokens over which votes are averaged, odd
 */
public record SnapKv(Budget budget, int window, int kernel) implements EvictionMethod {

    public static final int DEFAULT_WINDOW = 64;
    public static final int DEFAULT_KERNEL = 7;

    public SnapKv {
        if (window < 1) {
            throw new IllegalArgumentException("snapkv window must be 1 or more, but is " + window);
        }
        if (kernel < 1 || kernel % 2 == 0) {
            throw new IllegalArgumentException("snapkv kernel must be an odd number above 0, but is " + kernel);
        }
        if (budget.isAbsolute() && budget.tokens(0) <= window) {
            throw new IllegalArgumentException("snapkv budget must be above its window of " + window + ", but is "
                    + budget + ": raise attention.budget or lower the window");
        }
    }

    @Override
    public int leastBudget() {
        return window + 1;
    }

    @Override
    public int observedQueries() {
        return window;
    }

    @Override
    public boolean evictsOnce() {
        return true;
    }

    @Override
    public String name() {
        return "snapkv";
    }

    @Override
    public String spec() {
        return name() + ":budget=" + budget + ",window=" + window + ",kernel=" + kernel;
    }
}
