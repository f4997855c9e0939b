package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.kv.KvSequence;
import java.util.Arrays;

/**
 * What selection reads of a page in place of its keys: made from the keys of a whole page, for all KV heads of a layer at once, when a
 * sparse step first needs it. Thus it depends neither on how the prompt was cut nor on what its method was.
 */
abstract class PageData {

    private final int layers;
    /** Whether the data of [page * layers + layer] are there. */
    private final boolean[] filled;

    PageData(int pages, int layers) {
        this.layers = layers;
        filled = new boolean[Math.multiplyExact(pages, layers)];
    }

    /** Index of a page and layer in arrays of the data. */
    final int index(int page, int layer) {
        return page * layers + layer;
    }

    final boolean has(int page, int layer) {
        return filled[index(page, layer)];
    }

    /** Makes the data of a page that is full. */
    final void fill(Fill fill, int page) {
        make(fill, page);
        filled[index(page, fill.layer())] = true;
    }

    abstract void make(Fill fill, int page);

    /** Tokens that a sequence must have for the data. */
    int minTokens() {
        return 0;
    }

    /** Readies for filling pages {@code first} to {@code end} of a sequence. */
    void begin(KvPages source, KvSequence sequence, int layer, int first, int end) {}

    /** The page belongs to another sequence from now on. */
    final void clear(int page) {
        Arrays.fill(filled, page * layers, (page + 1) * layers, false);
    }

    /** Bytes that selection reads of a page for one KV head. */
    abstract int bytes();

    /**
     * What is filled in from.
     *
     * @param keys scratch memory, [pageSize][headDim]
     */
    record Fill(KvPages pages, int layer, float[] keys) {}
}
