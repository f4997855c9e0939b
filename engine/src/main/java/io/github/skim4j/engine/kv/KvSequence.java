package io.github.skim4j.engine.kv;

import java.nio.IntBuffer;
import java.util.Arrays;

/**
 * One sequence's place in the KV cache: a table from slots to pages. Slot {@code i} is token {@code i % pageSize} of page {@code
 * page(i / pageSize)}. As long as nothing is evicted, the token at position {@code i} lies in slot {@code i}. Pages return to the
 * pool in one of two ways. {@link #evict} opens a gap: the sinks [0, {@link #sinks()}) and the window [{@link #windowStart()}, {@link
 * #slots()}) stay where they are. {@link #pack} keeps the first slots alone, after the backend moved into them what each layer and KV
 * head keeps; slots and positions differ from then on. Pages of a sequence that is not packed may be shared with others that begin with
 * the same tokens.
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
    private int slots;
    private int sinks;
    private int windowStart;
    private int packed;

    /** Pages from the first on that the prefix cache knows, and its entry for the last of them. */
    private int cachedPages;

    private long cacheId;

    public KvSequence(PagePool pool, int pageSize) {
        this.pool = pool;
        this.pageSize = pageSize;
    }

    public int pageSize() {
        return pageSize;
    }

    /** Position of the next token: tokens that were written, evicted ones included. */
    public int length() {
        return slots + packed;
    }

    /** Slot of the next token: slots that are filled, or were filled before the gap took them. */
    public int slots() {
        return slots;
    }

    /** Slots before the gap; 0 while there is none. */
    public int sinks() {
        return sinks;
    }

    /** First slot after the gap; 0 while there is none. */
    public int windowStart() {
        return windowStart;
    }

    /** Slots in the gap between sinks and window. */
    public int gap() {
        return windowStart - sinks;
    }

    /** Whether slots are no positions any more, because {@link #pack} dropped some. */
    public boolean isPacked() {
        return packed > 0;
    }

    /** Tokens evicted so far. */
    public int evicted() {
        return gap() + packed;
    }

    /** Tokens that attention can read: {@code length() - evicted()}. */
    public int retained() {
        return length() - evicted();
    }

    /** Pages that this sequence holds. */
    public int heldPages() {
        return held;
    }

    /** Page of slots [{@code index * pageSize}, …), which must not lie wholly in the gap. */
    public int page(int index) {
        int page = index < pageCount ? pages[index] : NONE;
        if (page == NONE) {
            throw new IndexOutOfBoundsException("page " + index + " of a sequence of " + slots + " slots is not held");
        }
        return page;
    }

    /** Writes the pages that are held in the order of their slots, at most as many as {@code target} takes. */
    public void copyPages(IntBuffer target) {
        if (gap() == 0) {
            target.put(pages, 0, Math.min(pageCount, target.remaining()));
            return;
        }
        for (int i = 0; i < pageCount && target.hasRemaining(); i++) {
            if (pages[i] != NONE) {
                target.put(pages[i]);
            }
        }
    }

    /** Pages that {@link #reserve} would take for {@code count} more slots. */
    public int pagesFor(int count) {
        return pagesOf(slots + count) - pageCount;
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
        for (int i = 0; i < needed; i++) {
            append(pool.acquire());
        }
        return true;
    }

    /** Appends a page that is filled already. */
    void share(int page) {
        if (slots != pageCount * pageSize) {
            throw new IllegalStateException("a sequence of " + slots + " slots doesn't end with a whole page");
        }
        pool.retain(page);
        append(page);
        slots += pageSize;
    }

    private void append(int page) {
        if (pageCount == pages.length) {
            pages = Arrays.copyOf(pages, pages.length * 2);
        }
        pages[pageCount++] = page;
        held++;
    }

    int cachedPages() {
        return cachedPages;
    }

    long cacheId() {
        return cacheId;
    }

    /** The prefix cache knows one more page, as {@code id}. */
    void markCached(long id) {
        cachedPages++;
        cacheId = id;
    }

    /** Counts {@code count} reserved slots as filled; after the backend wrote them. */
    public void advance(int count) {
        if (pagesOf(slots + count) > pageCount) {
            throw new IllegalStateException("slots up to " + (slots + count) + " are not reserved");
        }
        slots += count;
    }

    /**
     * Drops the slots from {@code sinks} up to {@code windowStart} for good and returns their whole pages to the pool. The window
     * only moves forward, and the number of sinks is fixed by the first eviction. Not for a packed sequence.
     */
    public void evict(int sinks, int windowStart) {
        if (isPacked()) {
            throw new IllegalStateException("a packed sequence has no sinks and window");
        }
        if (sinks < 0 || windowStart < sinks || windowStart > slots) {
            throw new IllegalArgumentException(
                    "can't evict slots " + sinks + " to " + windowStart + " of a sequence of " + slots);
        }
        if (windowStart == sinks) {
            return;
        }
        if (gap() > 0 && (sinks != this.sinks || windowStart < this.windowStart)) {
            throw new IllegalArgumentException("evicted slots don't come back");
        }
        int first = pagesOf(sinks);
        int end = windowStart / pageSize;
        for (int i = end - 1; i >= Math.max(first, this.windowStart / pageSize); i--) {
            free(i);
        }
        this.sinks = sinks;
        this.windowStart = windowStart;
    }

    /**
     * Drops the slots from {@code keep} on for good, after what is kept was moved before them, and returns the pages behind to the
     * pool, reserved ones included. Not for a sequence with a gap or with shared pages.
     */
    public void pack(int keep) {
        if (gap() > 0) {
            throw new IllegalStateException("a sequence with a gap can't be packed");
        }
        if (keep < 0 || keep > slots) {
            throw new IllegalArgumentException("can't keep " + keep + " slots of " + slots);
        }
        for (int i = 0; i < pagesOf(keep); i++) {
            if (pool.isShared(pages[i])) {
                throw new IllegalStateException("a sequence with shared pages can't be packed");
            }
        }
        while (pageCount > pagesOf(keep)) {
            free(--pageCount);
        }
        packed += slots - keep;
        slots = keep;
    }

    /** Returns all pages to the pool, the last first, so that the prefix cache loses a page before those that it builds on; idempotent. */
    @Override
    public void close() {
        for (int i = pageCount - 1; i >= 0; i--) {
            free(i);
        }
        pageCount = 0;
        cachedPages = 0;
        cacheId = 0;
        slots = 0;
        sinks = 0;
        windowStart = 0;
        packed = 0;
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
