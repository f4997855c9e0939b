package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.model.Rope;

/** Rotary position embedding: cos and sin of positions, and the rotation of a head. Formulas of transformers' {@code modeling_rope_utils}. */
final class Rotary {

    private final Rope rope;
    private final int headDim;
    private final float attentionFactor;
    private final double[] frequencies;

    Rotary(Rope rope, int headDim) {
        this.rope = rope;
        this.headDim = headDim;
        this.attentionFactor = rope.scaling() instanceof Rope.Yarn yarn ? (float) yarn.attentionFactor() : 1;
        this.frequencies = frequencies(0);
    }

    /** Pairs in a head: values in a row of cos and sin. */
    int pairs() {
        return headDim / 2;
    }

    /**
     * Angle per position of each pair, for a sequence of {@code length} tokens in all; the length matters to dynamic scaling alone.
     * It has to be the length up to the token itself, or else the cache depends on how the prompt was cut into chunks.
     */
    double[] frequenciesFor(int length) {
        return rope.scaling() instanceof Rope.Dynamic ? frequencies(length) : frequencies;
    }

    private double[] frequencies(int length) {
        double theta = rope.theta();
        if (rope.scaling() instanceof Rope.Dynamic dynamic) {
            double factor = dynamic.factor();
            double stretch = (double) Math.max(length, dynamic.originalContext()) / dynamic.originalContext();
            theta *= Math.pow(factor * stretch - (factor - 1), headDim / (headDim - 2.0));
        }
        double[] result = new double[pairs()];
        for (int i = 0; i < result.length; i++) {
            result[i] = scale(Math.pow(theta, -2.0 * i / headDim), i);
        }
        return result;
    }

    private double scale(double frequency, int pair) {
        if (rope.scaling() instanceof Rope.Linear linear) {
            return frequency / linear.factor();
        }
        if (rope.scaling() instanceof Rope.Factors factors) {
            return frequency / factors.divisors()[pair];
        }
        if (rope.scaling() instanceof Rope.Llama3 llama3) {
            return scale(frequency, llama3);
        }
        if (rope.scaling() instanceof Rope.Yarn yarn) {
            return scale(frequency, pair, yarn);
        }
        return frequency;
    }

    private static double scale(double frequency, Rope.Llama3 llama3) {
        double turns = llama3.originalContext() * frequency / (2 * Math.PI);
        if (turns < llama3.lowFreqFactor()) {
            return frequency / llama3.factor();
        }
        if (turns > llama3.highFreqFactor()) {
            return frequency;
        }
        double smooth = (turns - llama3.lowFreqFactor()) / (llama3.highFreqFactor() - llama3.lowFreqFactor());
        return (1 - smooth) * frequency / llama3.factor() + smooth * frequency;
    }

    private double scale(double frequency, int pair, Rope.Yarn yarn) {
        double low = pairOfTurns(yarn.betaFast(), yarn.originalContext());
        double high = pairOfTurns(yarn.betaSlow(), yarn.originalContext());
        if (yarn.truncate()) {
            low = Math.floor(low);
            high = Math.ceil(high);
        }
        low = Math.max(low, 0);
        high = Math.min(high, headDim - 1);
        if (low == high) {
            high += 0.001;
        }
        double interpolated = Math.min(1, Math.max(0, (pair - low) / (high - low)));
        return frequency * (1 - interpolated) + frequency / yarn.factor() * interpolated;
    }

    /** The (fractional) pair that turns {@code turns} times within {@code context} positions. */
    private double pairOfTurns(double turns, int context) {
        return headDim * Math.log(context / (turns * 2 * Math.PI)) / (2 * Math.log(rope.theta()));
    }

    /** Writes {@link #pairs()} values of cos and sin of one position. */
    void angles(double[] frequencies, int position, float[] cos, float[] sin, int offset) {
        for (int i = 0; i < frequencies.length; i++) {
            double angle = position * frequencies[i];
            cos[offset + i] = (float) Math.cos(angle) * attentionFactor;
            sin[offset + i] = (float) Math.sin(angle) * attentionFactor;
        }
    }

    /** Rotates the head of {@code headDim} values at {@code from} by the angles at {@code angle}; source and target may be the same. */
    void rotate(float[] source, int from, float[] target, int to, float[] cos, float[] sin, int angle) {
        int pairs = pairs();
        int step = rope.interleaved() ? 2 : 1;
        int second = rope.interleaved() ? 1 : pairs;
        for (int i = 0; i < pairs; i++) {
            float c = cos[angle + i];
            float s = sin[angle + i];
            float a = source[from + i * step];
            float b = source[from + i * step + second];
            target[to + i * step] = a * c - b * s;
            target[to + i * step + second] = b * c + a * s;
        }
    }
}
