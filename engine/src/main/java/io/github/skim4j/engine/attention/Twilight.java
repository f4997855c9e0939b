package io.github.skim4j.engine.attention;

import java.util.Locale;
import java.util.Objects;

/**
 * Top-p pruning (Twilight, arXiv 2502.02770, section 4): of the tokens that a selector with a generous budget finds, the fewest
 * whose share of the attention reaches {@code p} are read, for each head by itself; a KV head reads the union over its query heads.
 *
 * @param base what it prunes: a selector, or {@code null} for all tokens
 * @param p share of the attention to keep, above 0 and at most 1
 * @param logits where the shares come from
 * @param always what is read without asking; the selector's own if there is one
 */
public record Twilight(PageSelector base, double p, Logits logits, Always always) implements AttentionMethod {

    /** Where the logits that are pruned by come from. */
    public enum Logits {
        /** A copy of the keys in 4 bits, as published. */
        INT4,
        /** The keys themselves: what the best estimate could do; for evaluation. */
        EXACT
    }

    public static final String DEFAULT_BASE = "sketch";
    public static final Budget DEFAULT_BUDGET = Budget.ofShare(0.25);
    public static final double DEFAULT_P = 0.95;

    public Twilight {
        Checks.requirePositiveShare(p, "twilight p");
        Objects.requireNonNull(logits, "logits");
        Objects.requireNonNull(always, "always");
        if (base != null && !base.always().equals(always)) {
            throw new IllegalArgumentException("twilight and its base must always read the same");
        }
        if (base == null && always.reuseInterval() > 1) {
            throw new IllegalArgumentException(
                    "twilight on dense ranks no pages that could be read again: drop reuse-interval");
        }
    }

    @Override
    public PageSelector selector() {
        return base;
    }

    @Override
    public int denseLayers() {
        return always.denseLayers();
    }

    @Override
    public void requireFits(int pageSize) {
        if (base != null) {
            base.requireFits(pageSize);
        }
    }

    @Override
    public String name() {
        return "twilight";
    }

    @Override
    public String spec() {
        return name() + ":p=" + p + ",logits=" + logits.name().toLowerCase(Locale.ROOT)
                + (base == null ? ",base=dense," + always.spec() : AttentionSpecs.baseSpec(base));
    }
}
