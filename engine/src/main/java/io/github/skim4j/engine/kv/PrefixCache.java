package io.github.skim4j.engine.kv;

import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

/**
 * Finds the pages of earlier sequences that begin with the same tokens, so that their keys and values need not be computed again. An
 * entry is a whole page of tokens in their context: it names the entry of the page before. It lives until the pool needs its page.
 *
 * <p>Only tokens that were attended densely belong here: their keys and values depend on the tokens before them and on nothing else.
 *
 * <p>Not thread-safe: the scheduler's thread owns it.
 */
public final class PrefixCache {

    /** The parent of a first page. */
    private static final long ROOT = 0;

    private final PagePool pool;
    private final int pageSize;
    private final Map<Key, Entry> entries = new HashMap<>();
    private final Entry[] byPage;
    private long lastId = ROOT;

    /** @param id never used twice, so that a lost page's successors are not found behind the one that took its place */
    private record Entry(long id, Key key, int page) {}

    /** Compared by token ids, not by their hash alone. */
    private record Key(long parent, int[] tokens) {

        @Override
        public boolean equals(Object other) {
            return other instanceof Key key && parent == key.parent && Arrays.equals(tokens, key.tokens);
        }

        @Override
        public int hashCode() {
            return 31 * Long.hashCode(parent) + Arrays.hashCode(tokens);
        }
    }

    /** A cache of the pages of {@code pool}, which has no other. */
    public PrefixCache(PagePool pool, int pageSize) {
        this.pool = pool;
        this.pageSize = pageSize;
        this.byPage = new Entry[pool.total()];
        pool.whenReused(this::forget);
    }

    /** Fills an empty sequence with the longest run of known pages that lies within the first {@code limit} tokens. */
    public void take(KvSequence sequence, int[] tokens, int limit) {
        Entry entry = child(ROOT, tokens, 0, limit);
        while (entry != null) {
            sequence.share(entry.page());
            sequence.markCached(entry.id());
            entry = child(entry.id(), tokens, sequence.length(), limit);
        }
    }

    /** Of the pages that {@link #take} would share, those that other sequences hold, so that they cost no free page. */
    public int heldPages(int[] tokens, int limit) {
        int held = 0;
        int from = 0;
        for (Entry entry = child(ROOT, tokens, from, limit); entry != null; ) {
            held += pool.isHeld(entry.page()) ? 1 : 0;
            from += pageSize;
            entry = child(entry.id(), tokens, from, limit);
        }
        return held;
    }

    /**
     * Adds the whole pages of a sequence that lie within its first {@code count} tokens, which were attended densely. It adds nothing
     * behind a page that another sequence added while this one computed its own: pages that follow each other in the cache have followed
     * each other in a sequence, so that what a backend makes of pages in their order is there for all of them or for the first ones.
     */
    public void put(KvSequence sequence, int[] tokens, int count) {
        if (sequence.evicted() > 0) {
            return;
        }
        int from = sequence.cachedPages() * pageSize;
        for (; from + pageSize <= count; from += pageSize) {
            Entry entry = child(sequence.cacheId(), tokens, from, count);
            if (entry == null) {
                Key key = key(sequence.cacheId(), tokens, from);
                entry = new Entry(++lastId, key, sequence.page(from / pageSize));
                entries.put(key, entry);
                byPage[entry.page()] = entry;
                pool.keep(entry.page());
            } else if (entry.page() != sequence.page(from / pageSize)) {
                return;
            }
            sequence.markCached(entry.id());
        }
    }

    /** Pages that are known. */
    int size() {
        return entries.size();
    }

    private Entry child(long parent, int[] tokens, int from, int limit) {
        return from + pageSize > limit ? null : entries.get(key(parent, tokens, from));
    }

    private Key key(long parent, int[] tokens, int from) {
        return new Key(parent, Arrays.copyOfRange(tokens, from, from + pageSize));
    }

    private void forget(int page) {
        entries.remove(byPage[page].key());
        byPage[page] = null;
    }
}
