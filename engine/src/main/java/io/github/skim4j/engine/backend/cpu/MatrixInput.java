package io.github.skim4j.engine.backend.cpu;

/**
 * The right-hand side of a matrix product.
 *
 * @param values [tokens][stride], of which the first {@code columns} of each token are meant
 * @param sums Σ of each 16 columns, [tokens][columns / 16], for matrices whose levels have an offset; {@code null} if none has
 * @param tiles the values again, several tokens side by side: [tokens / tile][columns][tile], for kernels that work on tiles
 */
record MatrixInput(float[] values, int stride, int columns, int tokens, float[] sums, float[] tiles) {

    static final int SUM_BLOCK = 16;

    /** Sums of a token. */
    private int blocks() {
        return columns / SUM_BLOCK;
    }

    /** Σ of the columns of a token's block of 16 or 32. */
    float sum(int token, int block, int size) {
        int at = (token * columns + block * size) / SUM_BLOCK;
        return size == SUM_BLOCK ? sums[at] : sums[at] + sums[at + 1];
    }

    /** Fills in the sums of a token. */
    void sum(int token) {
        for (int b = 0; b < blocks(); b++) {
            int from = token * stride + b * SUM_BLOCK;
            float even = 0;
            float odd = 0;
            for (int i = from; i < from + SUM_BLOCK; i += 2) {
                even += values[i];
                odd += values[i + 1];
            }
            sums[token * blocks() + b] = even + odd;
        }
    }

    /** Where in {@link #tiles} a token's column is. */
    int tileIndex(int token, int column, int tile) {
        return (token / tile * columns + column) * tile + token % tile;
    }

    /** Fills in a tile. */
    void fillTile(int index, int tile) {
        int first = index * tile;
        int end = Math.min(first + tile, tokens);
        for (int t = first; t < end; t++) {
            int from = t * stride;
            int to = tileIndex(t, 0, tile);
            for (int k = 0; k < columns; k++) {
                tiles[to + k * tile] = values[from + k];
            }
        }
    }
}
