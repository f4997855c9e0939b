package io.github.skim4j.engine.backend.cpu;

import java.util.SplittableRandom;

/**
 * A fixed random rotation of heads: random signs and a Hadamard transform, twice, O(n log n) and without a matrix. A size that is no power of
 * two is cut into blocks that are; the second round cuts from the other end, so that all dimensions mix.
 */
final class Rotation {

    private static final long SEED = 0x5EED;

    private final int size;
    private final float[] firstSigns;
    private final float[] secondSigns;

    Rotation(int size) {
        this.size = size;
        SplittableRandom random = new SplittableRandom(SEED);
        firstSigns = signs(random);
        secondSigns = signs(random);
    }

    private float[] signs(SplittableRandom random) {
        float[] signs = new float[size];
        for (int i = 0; i < size; i++) {
            signs[i] = random.nextBoolean() ? 1 : -1;
        }
        return signs;
    }

    /** Rotates {@code size} values at {@code from}. */
    void apply(float[] values, int from) {
        multiply(values, from, firstSigns);
        for (int at = 0; at < size; ) {
            int block = Integer.highestOneBit(size - at);
            transform(values, from + at, block);
            at += block;
        }
        multiply(values, from, secondSigns);
        for (int end = size; end > 0; ) {
            int block = Integer.highestOneBit(end);
            transform(values, from + end - block, block);
            end -= block;
        }
    }

    private void multiply(float[] values, int from, float[] signs) {
        for (int i = 0; i < size; i++) {
            values[from + i] *= signs[i];
        }
    }

    /** Orthonormal Hadamard transform in place. */
    private static void transform(float[] values, int from, int size) {
        for (int half = 1; half < size; half *= 2) {
            for (int block = from; block < from + size; block += 2 * half) {
                for (int i = block; i < block + half; i++) {
                    float a = values[i];
                    float b = values[i + half];
                    values[i] = a + b;
                    values[i + half] = a - b;
                }
            }
        }
        float scale = (float) (1 / Math.sqrt(size));
        for (int i = from; i < from + size; i++) {
            values[i] *= scale;
        }
    }
}
