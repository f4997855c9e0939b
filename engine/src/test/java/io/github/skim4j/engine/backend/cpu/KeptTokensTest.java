package io.github.skim4j.engine.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.skim4j.engine.attention.Budget;
import io.github.skim4j.engine.attention.EvictionMethod;
import io.github.skim4j.engine.attention.H2o;
import io.github.skim4j.engine.attention.SnapKv;
import io.github.skim4j.engine.attention.Tova;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.Test;

class KeptTokensTest {

    private static final Budget BUDGET = Budget.ofTokens(100);
    private static final int NO_WINDOW = Integer.MAX_VALUE;

    /** Kept positions of tokens in order of their slots. */
    private static List<Integer> positions(
            EvictionMethod method, float[] attention, int[] positions, int length, int window, int keep) {
        BitSet kept = KeptTokens.choose(method, attention, positions, positions.length, length, window, keep);
        return kept.stream().mapToObj(slot -> positions[slot]).sorted().toList();
    }

    private static int[] inOrder(int count) {
        return IntStream.range(0, count).toArray();
    }

    @Test
    void tovaKeepsTheMostAttended() {
        float[] attention = {0.3f, 0, 0.2f, 0.1f, 0.4f};
        assertThat(positions(new Tova(BUDGET), attention, inOrder(5), 5, NO_WINDOW, 3))
                .containsExactly(0, 2, 4);
    }

    @Test
    void h2oNeverDropsTheRecent() {
        // In the slots are the positions 9, 3, 5, 8, 0, 7.
        float[] attention = {0, 5, 3, 0, 4, 1};
        int[] slots = {9, 3, 5, 8, 0, 7};
        assertThat(positions(new H2o(BUDGET, 0.5), attention, slots, 10, NO_WINDOW, 4))
                .containsExactly(0, 3, 8, 9);
        assertThat(positions(new H2o(BUDGET, 0), attention, slots, 10, NO_WINDOW, 4))
                .containsExactly(0, 3, 5, 7);
        assertThat(positions(new H2o(BUDGET, 1), attention, slots, 10, NO_WINDOW, 3))
                .containsExactly(7, 8, 9);
    }

    @Test
    void snapKvPoolsOverNeighboursAndKeepsItsWindow() {
        float[] attention = {0, 0, 0, 9, 0, 0, 6, 6, 0, 0, 0, 0};
        // Means over three: position 3 lifts 2 … 4 to 3; 6 and 7 lift 5 and 8 to 2 and themselves to 4.
        assertThat(positions(new SnapKv(BUDGET, 2, 3), attention, inOrder(12), 12, NO_WINDOW, 7))
                .containsExactly(2, 3, 4, 6, 7, 10, 11);
        assertThat(positions(new SnapKv(BUDGET, 2, 1), attention, inOrder(12), 12, NO_WINDOW, 5))
                .containsExactly(3, 6, 7, 10, 11);
    }

    @Test
    void attentionOfSnapKvsWindowDoesNotCount() {
        float[] attention = {1, 0, 0, 0, 2, 100, 100, 100};
        assertThat(positions(new SnapKv(BUDGET, 3, 3), attention, inOrder(8), 8, NO_WINDOW, 5))
                .containsExactly(3, 4, 5, 6, 7);
    }

    @Test
    void tokensThatNoQueryWillSeeGoFirst() {
        float[] attention = {9, 9, 9, 0, 0, 1};
        // The query at 6 sees 3, 4, 5 and itself.
        assertThat(positions(new H2o(BUDGET, 0), attention, inOrder(6), 6, 4, 4))
                .containsExactly(2, 3, 4, 5);
        assertThat(positions(new H2o(BUDGET, 1), attention, inOrder(6), 6, 2, 1))
                .containsExactly(5);
    }

    @Test
    void ofEqualOnesTheLatestStay() {
        assertThat(positions(new Tova(BUDGET), new float[6], inOrder(6), 6, NO_WINDOW, 2))
                .containsExactly(4, 5);
        assertThat(positions(new Tova(BUDGET), new float[6], inOrder(6), 6, NO_WINDOW, 0))
                .isEmpty();
    }

    @RepeatedTest(20)
    void agreesWithSorting() {
        long seed = System.nanoTime();
        Random random = new Random(seed);
        int count = 2 + random.nextInt(400);
        int keep = random.nextInt(count);
        int length = count + random.nextInt(200);
        List<Integer> all = IntStream.range(0, length).boxed().collect(Collectors.toCollection(ArrayList::new));
        Collections.shuffle(all, random);
        int[] positions = all.stream().mapToInt(i -> i).limit(count).toArray();
        float[] attention = new float[count];
        for (int i = 0; i < count; i++) {
            attention[i] = random.nextBoolean() ? random.nextInt(4) : random.nextFloat();
        }
        H2o method = new H2o(BUDGET, random.nextDouble());
        int recent = (int) (method.recent() * keep);
        List<Integer> sorted = IntStream.range(0, count)
                .boxed()
                .sorted(Comparator.<Integer>comparingDouble(
                                i -> positions[i] >= length - recent ? Double.MAX_VALUE : attention[i])
                        .thenComparing(i -> positions[i])
                        .reversed())
                .toList();
        Set<Integer> expected = new HashSet<>(sorted.subList(0, keep));
        BitSet kept = KeptTokens.choose(method, attention, positions, count, length, NO_WINDOW, keep);
        assertThat(kept.stream().boxed().collect(Collectors.toSet()))
                .as("seed %s", seed)
                .isEqualTo(expected);
    }
}
