package io.github.skim4j.engine.backend.cpu;

/**
 * The right-hand side of a matrix product.
 *
 * @param values [tokens][columns]
 * @param sums Σ of each 32 columns, [tokens][columns / 32], for matrices with minima; {@code null} if none has
 * @param shifted for the product of one token with nibbles: {@code values[k] * 16^-(k % 8)}, but {@code values[k]} where {@code k %
 *     8} is 7, so that a nibble need not be moved to the lowest bits before it becomes a float; {@code null} for several tokens
 */
record MatrixInput(float[] values, int columns, int tokens, float[] sums, float[] shifted) {

    static final int SUM_BLOCK = 32;

    private static final float[] SHIFTS = {1, 0x1p-4f, 0x1p-8f, 0x1p-12f, 0x1p-16f, 0x1p-20f, 0x1p-24f, 1};

    /** Sums of a token. */
    int blocks() {
        return columns / SUM_BLOCK;
    }

    /** Fills in the sums of a token. */
    void sum(int token) {
        for (int b = token * blocks(); b < (token + 1) * blocks(); b++) {
            int from = b * SUM_BLOCK;
            float even = 0;
            float odd = 0;
            for (int i = from; i < from + SUM_BLOCK; i += 2) {
                even += values[i];
                odd += values[i + 1];
            }
            sums[b] = even + odd;
        }
    }

    /** Fills in the shifted values. */
    void shift() {
        for (int k = 0; k < columns; k += SHIFTS.length) {
            for (int i = 0; i < SHIFTS.length; i++) {
                shifted[k + i] = values[k + i] * SHIFTS[i];
            }
        }
    }
}
