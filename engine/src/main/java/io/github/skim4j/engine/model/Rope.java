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

    /** What cos and sin are multiplied by (YaRN, section 3.4). */
    public float attentionFactor() {
        return scaling instanceof Yarn yarn ? (float) yarn.attentionFactor() : 1;
    }

    /** Whether {@link #frequencies} are others for each length of a sequence. */
    public boolean dependsOnLength() {
        return scaling instanceof Dynamic;
    }

    /**
     * Angle per position of each of the {@code headDim/2} pairs.
     *
     * @param length tokens of the sequence up to the one that is rotated, itself included; matters if {@link #dependsOnLength}. A longer
     *     one would make the cache depend on how the prompt was cut into chunks
     */
    public double[] frequencies(int headDim, int length) {
        double base = theta;
        if (scaling instanceof Dynamic dynamic) {
            double stretch = (double) Math.max(length, dynamic.originalContext()) / dynamic.originalContext();
            base *= Math.pow(dynamic.factor() * stretch - (dynamic.factor() - 1), headDim / (headDim - 2.0));
        }
        double[] result = new double[headDim / 2];
        for (int i = 0; i < result.length; i++) {
            result[i] = scaled(Math.pow(base, -2.0 * i / headDim), i, headDim);
        }
        return result;
    }

    private double scaled(double frequency, int pair, int headDim) {
        if (scaling instanceof Linear linear) {
            return frequency / linear.factor();
        }
        if (scaling instanceof Factors factors) {
            return frequency / factors.divisors()[pair];
        }
        if (scaling instanceof Llama3 llama3) {
            return llama3.scaled(frequency);
        }
        if (scaling instanceof Yarn yarn) {
            return yarn.scaled(frequency, pair, headDim, theta);
        }
        return frequency;
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
            implements Scaling {

        private double scaled(double frequency, int pair, int headDim, double theta) {
            double low = pairOfTurns(betaFast, headDim, theta);
            double high = pairOfTurns(betaSlow, headDim, theta);
            if (truncate) {
                low = Math.floor(low);
                high = Math.ceil(high);
            }
            low = Math.max(low, 0);
            high = Math.min(high, headDim - 1);
            if (low == high) {
                high += 0.001;
            }
            double interpolated = Math.min(1, Math.max(0, (pair - low) / (high - low)));
            return frequency * (1 - interpolated) + frequency / factor * interpolated;
        }

        /** The (fractional) pair that turns {@code turns} times within the original context. */
        private double pairOfTurns(double turns, int headDim, double theta) {
            return headDim * Math.log(originalContext / (turns * 2 * Math.PI)) / (2 * Math.log(theta));
        }
    }

    /** Llama 3.1's division by frequency band. */
    public record Llama3(double factor, double lowFreqFactor, double highFreqFactor, int originalContext)
            implements Scaling {

        private double scaled(double frequency) {
            double turns = originalContext * frequency / (2 * Math.PI);
            if (turns < lowFreqFactor) {
                return frequency / factor;
            }
            if (turns > highFreqFactor) {
                return frequency;
            }
            double smooth = (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
            return (1 - smooth) * frequency / factor + smooth * frequency;
        }

        /** What each of the {@code headDim/2} frequencies is divided by: 1 for fast ones, the factor for slow ones. */
        float[] divisors(double theta, int headDim) {
            float[] divisors = new float[headDim / 2];
            for (int i = 0; i < divisors.length; i++) {
                double frequency = Math.pow(theta, -2.0 * i / headDim);
                divisors[i] = (float) (frequency / scaled(frequency));
            }
            return divisors;
        }
    }

    /** Divisors for each frequency, from a GGUF's {@code rope_freqs} tensor; {@code headDim/2} values. */
    public record Factors(float[] divisors) implements Scaling {}
}
