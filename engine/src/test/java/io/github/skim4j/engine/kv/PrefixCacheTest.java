package io.github.skim4j.engine.kv;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.Test;

class PrefixCacheTest {

    private static final int PAGE = 8;

    private PagePool pool = new PagePool(10);
    private PrefixCache cache = new PrefixCache(pool, PAGE);

    private static int[] tokens(int seed, int count) {
        return new Random(seed).ints(count, 0, 3).toArray();
    }

    /** A sequence as a generation has it: begun from the cache, computed to its end and known to the cache. */
    private KvSequence run(int[] tokens) {
        KvSequence sequence = new KvSequence(pool, PAGE);
        cache.take(sequence, tokens, tokens.length - 1);
        int rest = tokens.length - sequence.length();
        assertThat(sequence.reserve(rest)).isTrue();
        sequence.advance(rest);
        cache.put(sequence, tokens, tokens.length);
        return sequence;
    }

    private int known(int[] tokens) {
        try (KvSequence probe = new KvSequence(pool, PAGE)) {
            cache.take(probe, tokens, tokens.length);
            return probe.length();
        }
    }

    @Test
    void sharesWholePagesOfACommonPrefix() {
        int[] tokens = tokens(1, 30);
        KvSequence first = run(tokens);
        KvSequence second = run(tokens);
        assertThat(pool.free()).isEqualTo(10 - 4 - 1);
        for (int i = 0; i < 3; i++) {
            assertThat(second.page(i)).isEqualTo(first.page(i));
        }
        assertThat(second.page(3)).isNotEqualTo(first.page(3));
        first.close();
        assertThat(pool.free()).isEqualTo(10 - 4);
        second.close();
        assertThat(pool.free()).isEqualTo(10);
        assertThat(known(tokens)).isEqualTo(24);
    }

    @Test
    void theSameTokensInAnotherContextAreOthers() {
        int[] tokens = new int[16];
        run(tokens).close();
        int[] other = Arrays.copyOf(tokens, 16);
        other[0] = 1;
        assertThat(known(other)).isZero();
        other[0] = 0;
        other[8] = 1;
        assertThat(known(other)).isEqualTo(8);
    }

    @Test
    void pagesOfTwoSequencesDoNotFollowEachOther() {
        int[] tokens = tokens(1, 40);
        KvSequence first = new KvSequence(pool, PAGE);
        KvSequence second = new KvSequence(pool, PAGE);
        first.reserve(16);
        second.reserve(40);
        cache.put(first, tokens, 16);
        cache.put(second, tokens, 40);
        assertThat(known(tokens)).isEqualTo(16);
        first.close();
        KvSequence other = new KvSequence(pool, PAGE);
        other.reserve(5 * PAGE);
        cache.put(second, tokens, 40);
        assertThat(known(tokens)).as("once the first one's pages are gone").isEqualTo(40);
    }

    @Test
    void theLeastRecentlyUsedPagesGoFirstAndThoseBehindBeforeThoseInFront() {
        int[] old = tokens(1, 33);
        int[] recent = tokens(2, 33);
        run(old).close();
        run(recent).close();
        run(old).close();
        // The two free pages, then the last two of the prompt that was used longer ago.
        KvSequence other = new KvSequence(pool, PAGE);
        other.reserve(4 * PAGE);
        assertThat(known(old)).isEqualTo(32);
        assertThat(known(recent)).isEqualTo(16);
    }

    @Test
    void pagesInUseStayWhenThePoolIsExhausted() {
        KvSequence running = run(tokens(1, 32));
        KvSequence other = new KvSequence(pool, PAGE);
        assertThat(other.reserve(6 * PAGE)).isTrue();
        assertThat(other.reserve(7 * PAGE)).isFalse();
        assertThat(known(tokens(1, 32))).isEqualTo(32);
        running.close();
        assertThat(other.reserve(10 * PAGE)).isTrue();
        assertThat(cache.size()).isZero();
    }

    @Test
    void pagesBehindALostOneAreNotFoundInAnotherContext() {
        int[] tokens = tokens(1, 32);
        KvSequence sequence = run(tokens);
        sequence.evict(0, 16);
        KvSequence other = new KvSequence(pool, PAGE);
        other.reserve(8 * PAGE);
        assertThat(known(tokens)).isZero();
        other.close();
        int[] changed = Arrays.copyOf(tokens, 16);
        changed[0] = 7;
        run(changed).close();
        System.arraycopy(changed, 0, tokens, 0, 16);
        assertThat(known(tokens)).isEqualTo(16);
    }

    @Test
    void nothingOfAnEvictedSequenceIsAdded() {
        KvSequence sequence = new KvSequence(pool, PAGE);
        sequence.reserve(32);
        sequence.advance(32);
        sequence.evict(4, 20);
        cache.put(sequence, tokens(1, 32), 32);
        assertThat(cache.size()).isZero();
    }

    @Test
    void misuseIsAnError() {
        assertThatThrownBy(() -> pool.retain(3)).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(() -> pool.keep(3)).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(() -> pool.release(3)).isInstanceOf(IllegalStateException.class);
        KvSequence sequence = new KvSequence(pool, PAGE);
        sequence.reserve(3);
        sequence.advance(3);
        KvSequence known = run(tokens(1, 32));
        assertThatThrownBy(() -> known.pack(8))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("shared pages");
        assertThatThrownBy(() -> sequence.share(sequence.page(0))).isInstanceOf(IllegalStateException.class);
    }

    /** Sequences come, grow, evict and go; pages carry their tokens, so that a page in the wrong place shows. */
    @RepeatedTest(50)
    void pagesAreNeitherLostNorMixedUp() {
        long seed = System.nanoTime();
        Random random = new Random(seed);
        int total = 5 + random.nextInt(40);
        pool = new PagePool(total);
        cache = new PrefixCache(pool, PAGE);
        int[][] contents = new int[total][PAGE];
        Map<KvSequence, int[]> running = new HashMap<>();
        for (int step = 0; step < 400; step++) {
            String what = "step " + step + ", seed " + seed;
            if (running.isEmpty() || random.nextInt(4) == 0) {
                int[] tokens = tokens(random.nextInt(4), 1 + random.nextInt(12 * PAGE));
                KvSequence sequence = new KvSequence(pool, PAGE);
                int held = cache.heldPages(tokens, tokens.length - 1);
                int free = pool.free();
                cache.take(sequence, tokens, tokens.length - 1);
                assertThat(sequence.length()).as(what).isLessThan(tokens.length);
                assertThat(free - pool.free()).as(what).isEqualTo(sequence.heldPages() - held);
                running.put(sequence, tokens);
            }
            List<KvSequence> all = new ArrayList<>(running.keySet());
            KvSequence sequence = all.get(random.nextInt(all.size()));
            int[] tokens = running.get(sequence);
            int count = Math.min(1 + random.nextInt(2 * PAGE), tokens.length - sequence.length());
            if (count == 0 || !sequence.reserve(count)) {
                sequence.close();
                running.remove(sequence);
            } else {
                for (int i = sequence.length(); i < sequence.length() + count; i++) {
                    contents[sequence.page(i / PAGE)][i % PAGE] = tokens[i];
                }
                sequence.advance(count);
                cache.put(sequence, tokens, sequence.length());
                if (random.nextInt(8) == 0) {
                    int start = Math.max(sequence.windowStart(), Math.min(2, sequence.length()));
                    sequence.evict(
                            sequence.evicted() > 0 ? sequence.sinks() : Math.min(2, sequence.length()),
                            start + random.nextInt(sequence.length() - start + 1));
                }
            }
            Set<Integer> held = new HashSet<>();
            running.forEach((each, its) -> {
                for (int i = 0; i < each.length(); i++) {
                    if (i < each.sinks() || i >= each.windowStart()) {
                        held.add(each.page(i / PAGE));
                        assertThat(contents[each.page(i / PAGE)][i % PAGE])
                                .as(what)
                                .isEqualTo(its[i]);
                    }
                }
            });
            // A page of a sequence may lie wholly between its sinks and its window, at the edges of what was evicted.
            assertThat(total - pool.free()).as(what).isGreaterThanOrEqualTo(held.size());
            assertThat(cache.size()).as(what).isLessThanOrEqualTo(total);
        }
        running.keySet().forEach(KvSequence::close);
        assertThat(pool.free()).as("seed %s", seed).isEqualTo(total);
        KvSequence all = new KvSequence(pool, PAGE);
        assertThat(all.reserve(total * PAGE)).as("seed %s", seed).isTrue();
        assertThat(cache.size()).as("seed %s", seed).isZero();
    }
}
