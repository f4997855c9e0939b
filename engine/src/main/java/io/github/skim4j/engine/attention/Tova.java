package io.github.skim4j.engine.attention;

/**
 * Token omission via attention (TOVA, arXiv 2401.06104, section 3.2): a layer keeps the tokens to which the last query attends most,
 * averaged over its heads.
 *
 * @param budget tokens kept
 */
public record Tova(Budget budget) implements EvictionMethod {

    @Override
    public int leastBudget() {
        return 1;
    }

    @Override
    public int observedQueries() {
        return 1;
    }

    @Override
    public String name() {
        return "tova";
    }

    @Override
    public String spec() {
        return name() + ":budget=" + budget;
    }
}
