package io.github.skim4j.engine.kv;

import java.util.BitSet;

/**
 * Ids of the KV pages that all sequences share. The storage behind an id is the backend's. Not thread-safe for changes: the
 * scheduler's thread owns it; {@link #free()} may be read by any thread.
 */
public final class PagePool {

    private final int[] stack;
    private final BitSet taken;
    private volatile int free;

    public PagePool(int pages) {
        if (pages < 1) {
            throw new IllegalArgumentException("a page pool needs at least one page, but has " + pages);
        }
        stack = new int[pages];
        taken = new BitSet(pages);
        for (int i = 0; i < pages; i++) {
            stack[i] = pages - 1 - i;
        }
        free = pages;
    }

    public int total() {
        return stack.length;
    }

    public int free() {
        return free;
    }

    int acquire() {
        int left = free;
        if (left == 0) {
            throw new IllegalStateException("no free page");
        }
        int page = stack[left - 1];
        taken.set(page);
        free = left - 1;
        return page;
    }

    void release(int page) {
        if (!taken.get(page)) {
            throw new IllegalStateException("page " + page + " is free already");
        }
        taken.clear(page);
        int left = free;
        stack[left] = page;
        free = left + 1;
    }
}
