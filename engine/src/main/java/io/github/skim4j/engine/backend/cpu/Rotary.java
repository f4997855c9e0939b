package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.model.Rope;

/** Rotary position embedding: cos and sin of positions, and the rotation of a head. */
final class Rotary {

    private final Rope rope;
    private final int headDim;
    private final float attentionFactor;
    private final double[] frequencies;

    Rotary(Rope rope, int headDim) {
        this.rope = rope;
        this.headDim = headDim;
        this.attentionFactor = rope.attentionFactor();
        this.frequencies = rope.frequencies(headDim, 0);
    }

    /** Pairs in a head: values in a row of cos and sin. */
    int pairs() {
        return headDim / 2;
    }

    /** Angle per position of each pair, for the last token of a sequence of {@code length}. */
    double[] frequenciesFor(int length) {
        return rope.dependsOnLength() ? rope.frequencies(headDim, length) : frequencies;
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
