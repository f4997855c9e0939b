package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.model.ModelConfig;

/**
 * What eviction must know of the tokens in the cache: for each page, layer, KV head and slot the token's position and the attention
 * that it was seen to get. There only for pages of sequences that observe.
 */
final class TokenRecords {

    private final int layers;
    private final int kvHeads;
    private final int pageSize;
    /** [page][(layer * kvHeads + kvHead) * pageSize + slot]; {@code null} for pages without. */
    private final int[][] positions;

    private final float[][] attention;

    TokenRecords(ModelConfig config, int pageSize, int pages) {
        layers = config.layers();
        kvHeads = config.kvHeads();
        this.pageSize = pageSize;
        positions = new int[pages][];
        attention = new float[pages][];
    }

    /** Readies a page that comes to a sequence. */
    void clear(int page, boolean observed) {
        int size = layers * kvHeads * pageSize;
        positions[page] = observed ? new int[size] : null;
        attention[page] = observed ? new float[size] : null;
    }

    /** Index of a page's first token in {@link #positions} and {@link #attention}. */
    int index(int layer, int kvHead) {
        return (layer * kvHeads + kvHead) * pageSize;
    }

    int[] positions(int page) {
        return positions[page];
    }

    float[] attention(int page) {
        return attention[page];
    }

    /** A new token, which no query has seen yet. */
    void write(int page, int layer, int kvHead, int slot, int position) {
        int at = index(layer, kvHead) + slot;
        positions[page][at] = position;
        attention[page][at] = 0;
    }

    void copy(int page, int slot, int toPage, int toSlot, int layer, int kvHead) {
        int from = index(layer, kvHead) + slot;
        int to = index(layer, kvHead) + toSlot;
        positions[toPage][to] = positions[page][from];
        attention[toPage][to] = attention[page][from];
    }

    /** The mask of a page's tokens at position {@code first} and later. */
    long from(int page, int layer, int kvHead, int first) {
        long mask = 0;
        int at = index(layer, kvHead);
        for (int i = 0; i < pageSize; i++) {
            if (positions[page][at + i] >= first) {
                mask |= 1L << i;
            }
        }
        return mask;
    }
}
