package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.attention.EvictionMethod;
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

    /** Bytes of a page's records for a method, all layers together. */
    static long bytes(AttentionMethod method, ModelConfig config, int pageSize) {
        boolean observes = method instanceof EvictionMethod evicting && evicting.packs();
        return observes ? 2L * Integer.BYTES * config.layers() * config.kvHeads() * pageSize : 0;
    }

    /** Readies a page that comes to a sequence, before any thread writes to it. */
    void clear(int page, boolean observed) {
        if (!observed) {
            positions[page] = null;
            attention[page] = null;
        } else if (positions[page] == null) {
            positions[page] = new int[layers * kvHeads * pageSize];
            attention[page] = new float[layers * kvHeads * pageSize];
        }
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

    /** Appends the tokens of a packed sequence that the tile, a single token, sees. */
    void addRetained(QueryTile tile, TokenList list) {
        int end = tile.slot(tile.firstPosition()) + 1;
        int first = tile.firstVisible(tile.firstPosition(), TokenList.POSITIONED);
        for (int slot = 0; slot < end; slot += pageSize) {
            int page = tile.sequence().page(slot / pageSize);
            long mask = TokenList.range(0, Math.min(pageSize, end - slot));
            if (first > 0) {
                mask &= from(first, page, index(tile.layer(), tile.kvHead()));
            }
            if (mask != 0) {
                list.add(page, slot, mask, 0, TokenList.POSITIONED);
            }
        }
    }

    /** The mask of a page's tokens at position {@code first} and later. */
    private long from(int first, int page, int at) {
        long mask = 0;
        for (int i = 0; i < pageSize; i++) {
            if (positions[page][at + i] >= first) {
                mask |= 1L << i;
            }
        }
        return mask;
    }
}
