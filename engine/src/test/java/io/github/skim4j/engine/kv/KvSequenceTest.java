package io.github.skim4j.engine.kv;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.IntBuffer;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class KvSequenceTest {

    @Test
    void takesPagesAsSlotsAreReserved() {
        PagePool pool = new PagePool(4);
        KvSequence sequence = new KvSequence(pool, 16);
        assertThat(sequence.reserve(16)).isTrue();
        assertThat(pool.free()).isEqualTo(3);
        sequence.advance(16);
        assertThat(sequence.pagesFor(1)).isEqualTo(1);
        assertThat(sequence.reserve(17)).isTrue();
        assertThat(pool.free()).isEqualTo(1);
        assertThat(sequence.heldPages()).isEqualTo(3);
    }

    @Test
    void pagesThatBecameFreeInAnyOrderAreTakenAgainSideBySide() {
        PagePool pool = new PagePool(8);
        KvSequence first = filled(pool, 16, 16);
        KvSequence second = filled(pool, 16, 32);
        KvSequence third = filled(pool, 16, 16);
        third.close();
        first.close();
        second.close();
        KvSequence next = filled(pool, 16, 5 * 16);
        assertThat(IntStream.range(0, 5).map(next::page)).containsExactly(0, 1, 2, 3, 4);
    }

    @Test
    void reserveTakesNothingWhenThePoolHasTooFew() {
        PagePool pool = new PagePool(2);
        KvSequence sequence = new KvSequence(pool, 16);
        assertThat(sequence.reserve(33)).isFalse();
        assertThat(pool.free()).isEqualTo(2);
        assertThat(sequence.heldPages()).isZero();
    }

    @Test
    void advanceNeedsReservedSlots() {
        KvSequence sequence = new KvSequence(new PagePool(2), 16);
        sequence.reserve(1);
        sequence.advance(16);
        assertThatThrownBy(() -> sequence.advance(1)).isInstanceOf(IllegalStateException.class);
    }

    @Test
    void evictionReturnsWholePagesBetweenSinksAndWindow() {
        PagePool pool = new PagePool(10);
        KvSequence sequence = filled(pool, 16, 100);
        assertThat(pool.free()).isEqualTo(3);
        sequence.evict(4, 50);
        // Pages 1 and 2 (slots 16 … 47) go; page 0 has the sinks, page 3 the beginning of the window.
        assertThat(pool.free()).isEqualTo(5);
        assertThat(sequence.evicted()).isEqualTo(46);
        assertThat(sequence.gap()).isEqualTo(46);
        assertThat(sequence.slots()).isEqualTo(100);
        assertThat(sequence.retained()).isEqualTo(54);
        assertThat(sequence.length()).isEqualTo(100);
        assertThatThrownBy(() -> sequence.page(1)).isInstanceOf(IndexOutOfBoundsException.class);
        int[] held = new int[6];
        sequence.copyPages(IntBuffer.wrap(held));
        assertThat(held)
                .containsExactly(
                        sequence.page(0), sequence.page(3), sequence.page(4), sequence.page(5), sequence.page(6), 0);
        assertThat(sequence.page(3)).isNotNegative();
    }

    @Test
    void evictedSlotsDoNotComeBack() {
        KvSequence sequence = filled(new PagePool(10), 16, 100);
        sequence.evict(4, 50);
        assertThatThrownBy(() -> sequence.evict(4, 49)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> sequence.evict(8, 60)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> sequence.evict(4, 101)).isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void packingReturnsThePagesBehind() {
        PagePool pool = new PagePool(10);
        KvSequence sequence = filled(pool, 16, 100);
        assertThat(sequence.reserve(20)).isTrue();
        assertThat(pool.free()).isEqualTo(2);
        sequence.pack(33);
        assertThat(pool.free()).isEqualTo(7);
        assertThat(sequence.slots()).isEqualTo(33);
        assertThat(sequence.length()).isEqualTo(100);
        assertThat(sequence.evicted()).isEqualTo(67);
        assertThat(sequence.retained()).isEqualTo(33);
        assertThat(sequence.isPacked()).isTrue();
        assertThatThrownBy(() -> sequence.page(3)).isInstanceOf(IndexOutOfBoundsException.class);

        assertThat(sequence.reserve(15)).isTrue();
        assertThat(pool.free()).isEqualTo(7);
        sequence.advance(15);
        assertThat(sequence.slots()).isEqualTo(48);
        assertThat(sequence.length()).isEqualTo(115);
        sequence.pack(0);
        assertThat(pool.free()).isEqualTo(10);
        assertThat(sequence.evicted()).isEqualTo(115);
        sequence.close();
        assertThat(sequence.length()).isZero();
        assertThat(pool.free()).isEqualTo(10);
    }

    @Test
    void packingAllChangesNothing() {
        PagePool pool = new PagePool(10);
        KvSequence sequence = filled(pool, 16, 100);
        sequence.pack(100);
        assertThat(pool.free()).isEqualTo(3);
        assertThat(sequence.isPacked()).isFalse();
        assertThat(sequence.evicted()).isZero();
    }

    @Test
    void aSequenceIsEitherPackedOrHasAGap() {
        KvSequence packed = filled(new PagePool(10), 16, 100);
        assertThatThrownBy(() -> packed.pack(101)).isInstanceOf(IllegalArgumentException.class);
        packed.pack(50);
        assertThatThrownBy(() -> packed.evict(4, 20)).isInstanceOf(IllegalStateException.class);
        KvSequence gap = filled(new PagePool(10), 16, 100);
        gap.evict(4, 20);
        assertThatThrownBy(() -> gap.pack(50)).isInstanceOf(IllegalStateException.class);
    }

    @Test
    void closeTwiceReleasesOnce() {
        PagePool pool = new PagePool(10);
        KvSequence sequence = filled(pool, 16, 100);
        sequence.evict(4, 80);
        sequence.close();
        sequence.close();
        assertThat(pool.free()).isEqualTo(10);
    }

    @ParameterizedTest
    @ValueSource(ints = {8, 16, 32, 64})
    void pagesAreNeverSharedNorLost(int pageSize) {
        long seed = System.nanoTime();
        Random random = new Random(seed);
        PagePool pool = new PagePool(200);
        List<KvSequence> sequences = new ArrayList<>();
        for (int step = 0; step < 2000; step++) {
            if (sequences.isEmpty() || random.nextInt(10) == 0) {
                sequences.add(new KvSequence(pool, pageSize));
            }
            KvSequence sequence = sequences.get(random.nextInt(sequences.size()));
            int count = 1 + random.nextInt(3 * pageSize);
            if (sequence.reserve(count)) {
                sequence.advance(count);
            } else {
                sequences.remove(sequence);
                sequence.close();
            }
            if (sequence.slots() > 40 && random.nextInt(4) == 0) {
                if (sequence.isPacked() || sequence.gap() == 0 && random.nextBoolean()) {
                    sequence.pack(random.nextInt(sequence.slots() + 1));
                } else {
                    int from = Math.max(sequence.windowStart(), 4);
                    sequence.evict(4, from + random.nextInt(sequence.slots() - from + 1));
                }
            }
            Set<Integer> held = new HashSet<>();
            int count2 = 0;
            for (KvSequence each : sequences) {
                for (int slot = 0; slot < each.slots(); slot++) {
                    if (slot < each.sinks() || slot >= each.windowStart()) {
                        held.add(each.page(slot / pageSize));
                    }
                }
                count2 += each.heldPages();
            }
            assertThat(count2).as("held, seed %s", seed).isEqualTo(pool.total() - pool.free());
            assertThat(held).as("pages with retained slots, seed %s", seed).hasSizeLessThanOrEqualTo(count2);
        }
        sequences.forEach(KvSequence::close);
        assertThat(pool.free()).as("seed %s", seed).isEqualTo(200);
    }

    private static KvSequence filled(PagePool pool, int pageSize, int length) {
        KvSequence sequence = new KvSequence(pool, pageSize);
        assertThat(sequence.reserve(length)).isTrue();
        sequence.advance(length);
        return sequence;
    }
}
