package io.github.skim4j.engine.backend.cpu;

/**
 * The right-hand side of a matrix product.
 *
 * @param values [tokens][columns]
 * @param sums Σ of each 32 columns, [tokens][columns / 32], for matrices with minima; {@code null} if none has
 */
record MatrixInput(float[] values, int columns, int tokens, float[] sums) {

    static final int SUM_BLOCK = 32;

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
}
