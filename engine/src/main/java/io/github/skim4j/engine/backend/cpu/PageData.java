package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.kv.KvSequence;
import java.util.Arrays;

/**
 * What selection reads of a page in place of its keys: made from the keys of a whole page, for all KV heads of a layer at once, when a
 * sparse step first needs it. Thus it depends neither on how the prompt was cut nor on what its method was. Blocks of pages share an array
 * for each layer, [kvHead][page of the block][…]: a sequence mostly has pages in a row, and what is read in a row comes from memory in time.
 */
abstract class PageData {

    /** Pages whose data lie in one array. */
    private static final int BLOCK = 64;

    private final int layers;
    private final int pages;
    /** Whether the data of [page * layers + layer] are there. */
    private final boolean[] filled;

    PageData(int pages, int layers) {
        this.pages = pages;
        this.layers = layers;
        filled = new boolean[Math.multiplyExact(pages, layers)];
    }

    private int index(int page, int layer) {
        return page * layers + layer;
    }

    /** Blocks of all layers. */
    final int blocks() {
        return (pages + BLOCK - 1) / BLOCK * layers;
    }

    /** Index of the block that has a page's data of a layer. */
    final int block(int page, int layer) {
        return page / BLOCK * layers + layer;
    }

    /** End of the entries from {@code entry} on, before {@code end}, whose pages lie one behind the other in a block. */
    static int endOfRun(TokenList list, int entry, int end) {
        int first = list.page(entry);
        int e = entry + 1;
        while (e < end && list.page(e) == first + (e - entry) && list.page(e) % BLOCK != 0) {
            e++;
        }
        return e;
    }

    /** Place of a page in a row of its block; a row has something of each page, such as the data of a KV head. */
    final int place(int page, int row) {
        return row * blockPages() + page % BLOCK;
    }

    final int blockPages() {
        return Math.min(BLOCK, pages);
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

    /** Makes the arrays of a block that has none yet. */
    abstract void allocate(int block);

    /** Tokens that a sequence must have for the data. */
    int minTokens() {
        return 0;
    }

    /** Readies for filling pages {@code first} to {@code end} of a sequence, which several threads may do. */
    void begin(KvPages source, KvSequence sequence, int layer, int first, int end) {
        for (int p = first; p < end; p++) {
            allocate(block(sequence.page(p), layer));
        }
    }

    /** The page belongs to another sequence from now on. */
    final void clear(int page) {
        Arrays.fill(filled, page * layers, (page + 1) * layers, false);
    }

    /** Bytes that are kept of a page for one KV head, all of which selection reads. */
    abstract int bytes();

    /**
     * What is filled in from.
     *
     * @param keys scratch memory, [pageSize][headDim]
     */
    record Fill(KvPages pages, int layer, float[] keys) {}
}
