package io.github.skim4j.engine.backend.cpu;

import java.util.Arrays;

/**
 * The keys and values that a query group reads, in order: parts of pages, each with a log weight that is added to its scores and
 * the query that it is scored with. Stages build it, {@link Attend} reads it; reused from list to list.
 */
final class TokenList {

    /** The query at its own position. */
    static final int POSITIONED = 0;

    /** The query as if the evicted tokens had never been: for the sinks, which then stand right before the window. */
    static final int CLOSED_UP = 1;

    private int size;
    private int tokens;
    /** First slot of the entry's page in the sequence. */
    private int[] slots = new int[64];

    private int[] pages = new int[64];
    private int[] froms = new int[64];
    private int[] ends = new int[64];
    private float[] logWeights = new float[64];
    private byte[] queries = new byte[64];

    void clear() {
        size = 0;
        tokens = 0;
    }

    /**
     * Appends tokens {@code from} to {@code end} of a page.
     *
     * @param slot first slot of the page
     */
    void add(int page, int slot, int from, int end, float logWeight, int query) {
        if (size == pages.length) {
            grow();
        }
        slots[size] = slot;
        pages[size] = page;
        froms[size] = from;
        ends[size] = end;
        logWeights[size] = logWeight;
        queries[size] = (byte) query;
        size++;
        tokens += end - from;
    }

    private void grow() {
        int capacity = 2 * size;
        slots = Arrays.copyOf(slots, capacity);
        pages = Arrays.copyOf(pages, capacity);
        froms = Arrays.copyOf(froms, capacity);
        ends = Arrays.copyOf(ends, capacity);
        logWeights = Arrays.copyOf(logWeights, capacity);
        queries = Arrays.copyOf(queries, capacity);
    }

    /** Entries. */
    int size() {
        return size;
    }

    /** Tokens in all entries. */
    int tokens() {
        return tokens;
    }

    int slot(int entry) {
        return slots[entry];
    }

    int page(int entry) {
        return pages[entry];
    }

    int from(int entry) {
        return froms[entry];
    }

    int end(int entry) {
        return ends[entry];
    }

    float logWeight(int entry) {
        return logWeights[entry];
    }

    int query(int entry) {
        return queries[entry];
    }
}
