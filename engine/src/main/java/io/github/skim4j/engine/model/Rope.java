package io.github.skim4j.engine.model;

/**
 * Rotary position embedding (RoFormer, arXiv 2104.09864).
 *
 * @param theta base of the frequencies
 * @param scaling how it is stretched to longer contexts
 * @param interleaved pairs are (2i, 2i+1), as in GGUF files of the Llama architecture; otherwise (i, i + headDim/2)
 */
public record Rope(double theta, Scaling scaling, boolean interleaved) {

    /** YaRN's own choice of the attention factor (section 3.4): {@code 0.1 ln(factor) + 1}. */
    static double yarnAttentionFactor(double factor) {
        return factor <= 1 ? 1 : 0.1 * Math.log(factor) + 1;
    }

    /** A way to stretch RoPE; formulas as in transformers' {@code modeling_rope_utils}. */
    public sealed interface Scaling {}

    public record None() implements Scaling {}

    /** Positions divided by {@code factor}. */
    public record Linear(double factor) implements Scaling {}

    /** NTK-aware base that grows once the sequence is longer than {@code originalContext}. */
    public record Dynamic(double factor, int originalContext) implements Scaling {}

    /** YaRN (arXiv 2309.00071); {@code attentionFactor} multiplies cos and sin. */
    public record Yarn(
            double factor,
            int originalContext,
            double betaFast,
            double betaSlow,
            double attentionFactor,
            boolean truncate)
            implements Scaling {}

    /** Llama 3.1's division by frequency band. */
    public record Llama3(double factor, double lowFreqFactor, double highFreqFactor, int originalContext)
            implements Scaling {

        /** What each of the {@code headDim/2} frequencies is divided by: 1 for fast ones, the factor for slow ones. */
        float[] divisors(double theta, int headDim) {
            float[] divisors = new float[headDim / 2];
            for (int i = 0; i < divisors.length; i++) {
                double wavelength = 2 * Math.PI * Math.pow(theta, 2.0 * i / headDim);
                double position = (originalContext / wavelength - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
                double fast = Math.max(0, Math.min(1, position));
                divisors[i] = (float) (1 / ((1 - fast) / factor + fast));
            }
            return divisors;
        }
    }

    /** Divisors for each frequency, from a GGUF's {@code rope_freqs} tensor; {@code headDim/2} values. */
    public record Factors(float[] divisors) implements Scaling {}
}
