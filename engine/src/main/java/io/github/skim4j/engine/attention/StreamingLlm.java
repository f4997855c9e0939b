package io.github.skim4j.engine.attention;

/**
 * Attention sinks and a recent window; the rest is evicted (StreamingLLM, arXiv 2309.17453, section 3.2). Positions are those
 * inside the cache: the sinks stand right before the window.
 *
 * @param budget tokens kept, sinks included
 * @param sinks first tokens of the sequence that are never dropped
 */
public record StreamingLlm(Budget budget, int sinks) implements EvictionMethod {

    public static final int DEFAULT_SINKS = 4;

    public StreamingLlm {
        if (sinks < 0) {
            throw new IllegalArgumentException("streaming-llm sinks must be 0 or more, but is " + sinks);
        }
        if (budget.isAbsolute() && budget.tokens(0) <= sinks) {
            throw new IllegalArgumentException("streaming-llm budget must be above its " + sinks + " sinks, but is "
                    + budget + ": raise attention.budget or lower the sinks");
        }
    }

    @Override
    public int leastBudget() {
        return sinks + 1;
    }

    @Override
    public int observedQueries() {
        return 0;
    }

    @Override
    public boolean packs() {
        return false;
    }

    @Override
    public String name() {
        return "streaming-llm";
    }

    @Override
    public String spec() {
        return name() + ":budget=" + budget + ",sinks=" + sinks;
    }
}
