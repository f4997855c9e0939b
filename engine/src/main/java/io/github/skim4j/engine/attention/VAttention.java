package io.github.skim4j.engine.attention;

import java.util.Locale;
import java.util.Objects;

/**
 * Verified attention (vAttention, arXiv 2510.05688, section 4): sinks, recent tokens and a selector's pages are read whole; of the rest a
 * uniform sample stands for all, as large as it must be for a relative error of at most {@code epsilon} with probability {@code 1 -
 * delta}. Where that takes as many tokens as there are, all are read.
 *
 * @param heavy the selector
 * @param epsilon relative error, above 0 and below 1
 * @param delta probability of a larger one, above 0 and below 1
 * @param verify what the error is that of
 * @param pilot share of the rest that is drawn first, to find out how much it varies, above 0 and at most 1
 * @param seed of the random numbers, which depend on position, layer and head besides: the same run draws the same
 */
public record VAttention(PageSelector heavy, double epsilon, double delta, Verify verify, double pilot, long seed)
        implements AttentionMethod {

    /** What (ε, δ) promise the error of. */
    public enum Verify {
        /** The sum of the exponentials. */
        DENOMINATOR,
        /** Their sum weighted with the values. */
        NUMERATOR,
        /** Each of them, hence the output within 4 ε with probability 1 - 2 δ. */
        BOTH
    }

    public static final double DEFAULT_EPSILON = 0.05;
    public static final double DEFAULT_DELTA = 0.05;
    public static final double DEFAULT_PILOT = 0.05;
    public static final String DEFAULT_BASE = "sketch";
    public static final Budget DEFAULT_BUDGET = Budget.ofShare(0.05);
    public static final Always DEFAULT_ALWAYS = new Always(128, 128, Always.DEFAULT_DENSE_LAYERS);

    public VAttention {
        Objects.requireNonNull(heavy, "heavy");
        Objects.requireNonNull(verify, "verify");
        requireOpen(epsilon, "epsilon");
        requireOpen(delta, "delta");
        Checks.requirePositiveShare(pilot, "vattention pilot");
        if (heavy instanceof RandomPages random && random.seed() != seed) {
            throw new IllegalArgumentException("vattention and its random pages must have the same seed");
        }
    }

    /** Standard deviations of an estimate within which it lies with probability 1 - δ: Φ⁻¹(1 - δ/2). */
    public double quantile() {
        return Normal.quantile(1 - delta / 2);
    }

    private static void requireOpen(double value, String name) {
        if (!(value > 0 && value < 1)) {
            throw new IllegalArgumentException("vattention " + name + " must be above 0 and below 1, but is " + value);
        }
    }

    @Override
    public PageSelector selector() {
        return heavy;
    }

    @Override
    public int denseLayers() {
        return heavy.denseLayers();
    }

    @Override
    public void requireFits(int pageSize) {
        heavy.requireFits(pageSize);
    }

    @Override
    public String name() {
        return "vattention";
    }

    @Override
    public String spec() {
        return name() + ":epsilon=" + epsilon + ",delta=" + delta + ",verify="
                + verify.name().toLowerCase(Locale.ROOT) + ",pilot=" + pilot + ",seed=" + seed
                + AttentionSpecs.baseSpec(heavy);
    }
}
