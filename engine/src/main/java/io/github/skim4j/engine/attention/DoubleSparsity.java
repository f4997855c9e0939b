package io.github.skim4j.engine.attention;

import java.util.Objects;

/**
 * Label channels (Double Sparsity, arXiv 2408.07092, section 3): logits are estimated from the few dimensions of the keys that matter
 * most for a layer and KV head, kept at 4 bits. Which those are is found offline and stored beside the model; a page's score is its
 * share of the estimated attention.
 *
 * @param channels dimensions, a multiple of 8
 */
public record DoubleSparsity(Budget budget, int channels, Always always) implements PageSelector {

    public static final int DEFAULT_CHANNELS = 16;

    public DoubleSparsity {
        Objects.requireNonNull(budget, "budget");
        Objects.requireNonNull(always, "always");
        if (channels < 8 || channels % 8 != 0) {
            throw new IllegalArgumentException(
                    "double-sparsity channels must be a multiple of 8 above 0, but is " + channels);
        }
    }

    @Override
    public DoubleSparsity withBudget(Budget budget) {
        return new DoubleSparsity(budget, channels, always);
    }

    @Override
    public String name() {
        return "double-sparsity";
    }

    @Override
    public String spec() {
        return name() + ":budget=" + budget + ",channels=" + channels + "," + always.spec();
    }
}
