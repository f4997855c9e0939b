package io.github.skim4j.engine.kv;

import java.util.Arrays;

/**
 * One sequence's place in the KV cache: a table from slots to pages. Slot {@code i} is token {@code i % pageSize} of page {@code
 * page(i / pageSize)}. Eviction leaves two ranges: the sinks [0, {@link #sinks()}) and the window [{@link #windowStart()}, {@link
 * #length()}); pages in between return to the pool.
 *
 * <p>Not thread-safe: the scheduler's thread changes it, a backend reads it during a step.
 */
public final class KvSequence implements AutoCloseable {

    private static final int NONE = -1;

    private final PagePool pool;
    private final int pageSize;
    private int[] pages = new int[8];
    private int pageCount;
    private int held;
    private int length;
    private int sinks;
    private int windowStart;

    public KvSequence(PagePool pool, int pageSize) {
        this.pool = pool;
        this.pageSize = pageSize;
    }

    public int pageSize() {
        return pageSize;
    }

    /** Slots that are filled or were filled and evicted; the position of the next token. */
    public int length() {
        return length;
    }

    /** Slots from 0 that eviction spared; 0 before any eviction. */
    public int sinks() {
        return sinks;
    }

    /** First slot after the evicted ones; 0 before any eviction. */
    public int windowStart() {
        return windowStart;
    }

    /** Slots evicted so far. */
    public int evicted() {
        return windowStart - sinks;
    }

    /** Tokens that attention can read: {@code length() - evicted()}. */
    public int retained() {
        return length - evicted();
    }

    /** Pages that this sequence holds. */
    public int heldPages() {
        return held;
    }

    /** Page of slots [{@code index * pageSize}, …), which must not lie wholly in the evicted range. */
    public int page(int index) {
        int page = index < pageCount ? pages[index] : NONE;
        if (page == NONE) {
            throw new IndexOutOfBoundsException("page " + index + " of a sequence of " + length + " slots is not held");
        }
        return page;
    }

    /** Pages that {@link #reserve} would take for {@code count} more slots. */
    public int pagesFor(int count) {
        return pagesOf(length + count) - pageCount;
    }

    /**
     * Takes pages so that {@code count} more slots can be written.
     *
     * @return whether the pool had them; nothing changes if not
     */
    public boolean reserve(int count) {
        int needed = pagesFor(count);
        if (needed > pool.free()) {
            return false;
        }
        if (pageCount + needed > pages.length) {
            pages = Arrays.copyOf(pages, Math.max(pages.length * 2, pageCount + needed));
        }
        for (int i = 0; i < needed; i++) {
            pages[pageCount++] = pool.acquire();
            held++;
        }
        return true;
    }

    /** Counts {@code count} reserved slots as filled; after the backend wrote them. */
    public void advance(int count) {
        if (pagesOf(length + count) > pageCount) {
            throw new IllegalStateException("slots up to " + (length + count) + " are not reserved");
        }
        length += count;
    }

    /**
     * Drops the slots from {@code sinks} up to {@code windowStart} for good and returns their whole pages to the pool. The window
     * only moves forward, and the number of sinks is fixed by the first eviction.
     */
    public void evict(int sinks, int windowStart) {
        if (sinks < 0 || windowStart < sinks || windowStart > length) {
            throw new IllegalArgumentException(
                    "can't evict slots " + sinks + " to " + windowStart + " of a sequence of " + length);
        }
        if (windowStart == sinks) {
            return;
        }
        if (evicted() > 0 && (sinks != this.sinks || windowStart < this.windowStart)) {
            throw new IllegalArgumentException("evicted slots don't come back");
        }
        int first = pagesOf(sinks);
        int end = windowStart / pageSize;
        for (int i = Math.max(first, this.windowStart / pageSize); i < end; i++) {
            free(i);
        }
        this.sinks = sinks;
        this.windowStart = windowStart;
    }

    /** Returns all pages to the pool; idempotent. */
    @Override
    public void close() {
        for (int i = 0; i < pageCount; i++) {
            free(i);
        }
        pageCount = 0;
        length = 0;
        sinks = 0;
        windowStart = 0;
    }

    private void free(int index) {
        if (pages[index] != NONE) {
            pool.release(pages[index]);
            pages[index] = NONE;
            held--;
        }
    }

    private int pagesOf(int slots) {
        return (slots + pageSize - 1) / pageSize;
    }
}
