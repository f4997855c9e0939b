package io.github.skim4j.engine.backend.cpu;

import java.util.Arrays;

/**
 * The keys and values that a query group reads, in order: pages with a mask of their tokens, each with a log weight that is added
 * to its scores and the query that it is scored with. Stages build it, {@link Attend} reads it; reused from list to list.
 */
final class TokenList {

    /** The query at its own position. */
    static final int POSITIONED = 0;

    /** The query as if the evicted tokens had never been: for the sinks, which then stand right before the window. */
    static final int CLOSED_UP = 1;

    private int size;
    /** First slot of the entry's page in the sequence. */
    private int[] slots = new int[64];

    private int[] pages = new int[64];
    private long[] masks = new long[64];
    private float[] logWeights = new float[64];
    private byte[] queries = new byte[64];

    /** The mask of tokens {@code from} to {@code end} of a page. */
    static long range(int from, int end) {
        return from >= end ? 0 : -1L >>> 64 - (end - from) << from;
    }

    void clear() {
        size = 0;
    }

    /**
     * Appends tokens of a page.
     *
     * @param slot first slot of the page
     * @param mask bit {@code t} is set if token {@code t} is read
     */
    void add(int page, int slot, long mask, float logWeight, int query) {
        if (size == pages.length) {
            grow();
        }
        slots[size] = slot;
        pages[size] = page;
        masks[size] = mask;
        logWeights[size] = logWeight;
        queries[size] = (byte) query;
        size++;
    }

    /** Appends an entry of another list, with another mask. */
    void add(TokenList source, int entry, long mask) {
        add(source.pages[entry], source.slots[entry], mask, source.logWeights[entry], source.queries[entry]);
    }

    /** Appends entries {@code from} to {@code end} of another list. */
    void add(TokenList source, int from, int end) {
        for (int e = from; e < end; e++) {
            add(source, e, source.masks[e]);
        }
    }

    private void grow() {
        int capacity = 2 * size;
        slots = Arrays.copyOf(slots, capacity);
        pages = Arrays.copyOf(pages, capacity);
        masks = Arrays.copyOf(masks, capacity);
        logWeights = Arrays.copyOf(logWeights, capacity);
        queries = Arrays.copyOf(queries, capacity);
    }

    /** Entries. */
    int size() {
        return size;
    }

    int slot(int entry) {
        return slots[entry];
    }

    int page(int entry) {
        return pages[entry];
    }

    long mask(int entry) {
        return masks[entry];
    }

    float logWeight(int entry) {
        return logWeights[entry];
    }

    int query(int entry) {
        return queries[entry];
    }
}
