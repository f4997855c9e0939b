package io.github.skim4j.engine.kv;

import java.util.BitSet;
import java.util.Iterator;
import java.util.LinkedHashSet;
import java.util.Set;
import java.util.function.IntConsumer;

/**
 * Ids of the KV pages that all sequences share. A page is free when no sequence holds it; what the prefix cache keeps in free pages is
 * lost when they are taken again, which happens last and in the order in which they became free. The storage behind an id is the
 * backend's. Not thread-safe for changes: the scheduler's thread owns it; {@link #free()} may be read by any thread.
 */
public final class PagePool {

    /** Sequences that hold a page. */
    private final int[] holders;

    /** Free pages that nobody needs. The lowest goes first, so that pages of a sequence lie side by side: backends read them in groups. */
    private final BitSet empty;

    /** No page before it is empty. */
    private int lowest;

    /** Pages whose contents the prefix cache knows. */
    private final BitSet kept;

    /** Those of them that are free, the first to go first. */
    private final Set<Integer> idle = new LinkedHashSet<>();

    private IntConsumer whenReused = page -> {};
    private volatile int free;

    public PagePool(int pages) {
        if (pages < 1) {
            throw new IllegalArgumentException("a page pool needs at least one page, but has " + pages);
        }
        holders = new int[pages];
        empty = new BitSet(pages);
        empty.set(0, pages);
        kept = new BitSet(pages);
        free = pages;
    }

    public int total() {
        return holders.length;
    }

    public int free() {
        return free;
    }

    int acquire() {
        if (free == 0) {
            throw new IllegalStateException("no free page");
        }
        int page = empty.nextSetBit(lowest);
        if (page >= 0) {
            empty.clear(page);
            lowest = page + 1;
        } else {
            Iterator<Integer> oldest = idle.iterator();
            page = oldest.next();
            oldest.remove();
            kept.clear(page);
            whenReused.accept(page);
        }
        holders[page] = 1;
        free--;
        return page;
    }

    /** Counts one more holder of a page that is held or kept. */
    void retain(int page) {
        if (holders[page] == 0) {
            if (!idle.remove(page)) {
                throw new IllegalStateException("page " + page + " has no contents to share");
            }
            free--;
        }
        holders[page]++;
    }

    void release(int page) {
        if (holders[page] == 0) {
            throw new IllegalStateException("page " + page + " is free already");
        }
        if (--holders[page] > 0) {
            return;
        }
        if (kept.get(page)) {
            idle.add(page);
        } else {
            empty.set(page);
            lowest = Math.min(lowest, page);
        }
        free++;
    }

    /** Has the contents of a held page kept, for as long as there are other free pages, when its last holder releases it. */
    void keep(int page) {
        if (holders[page] == 0) {
            throw new IllegalStateException("page " + page + " is free");
        }
        kept.set(page);
    }

    /** Tells {@code forget} of each kept page whose contents are lost. */
    void whenReused(IntConsumer forget) {
        whenReused = forget;
    }

    boolean isHeld(int page) {
        return holders[page] > 0;
    }

    /** Whether another sequence or the prefix cache relies on the page's contents. */
    boolean isShared(int page) {
        return holders[page] > 1 || kept.get(page);
    }
}
