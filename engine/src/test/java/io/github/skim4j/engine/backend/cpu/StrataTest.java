package io.github.skim4j.engine.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.skim4j.engine.backend.CounterRandom;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.Test;

class StrataTest {

    /** χ² / degrees of freedom of counts that should be equal: about 1. */
    private static double chiSquare(long[] counts) {
        double mean = Arrays.stream(counts).average().orElseThrow();
        double sum = 0;
        for (long count : counts) {
            sum += (count - mean) * (count - mean) / mean;
        }
        return sum / (counts.length - 1);
    }

    @RepeatedTest(20)
    void partTheTokensInRunsOfAlmostEqualSizeAndDrawDifferentOnes() {
        long seed = System.nanoTime();
        Random random = new Random(seed);
        int tokens = 1 + random.nextInt(5000);
        int count = 1 + random.nextInt(tokens);
        Strata strata = new Strata(tokens, count, new CounterRandom(random.nextLong()));
        int next = 0;
        for (int s = 0; s < count; s++) {
            int size = strata.size(s);
            assertThat(size).as("seed %s", seed).isBetween(strata.smallest(), strata.smallest() + 1);
            int[] some = new int[1 + random.nextInt(size)];
            int[] all = new int[size];
            strata.draw(s, some);
            strata.draw(s, all);
            assertThat(some).as("seed %s", seed).isEqualTo(Arrays.copyOf(all, some.length));
            Arrays.sort(all);
            for (int token : all) {
                assertThat(token).as("seed %s", seed).isEqualTo(next++);
            }
        }
        assertThat(next).as("seed %s", seed).isEqualTo(tokens);
    }

    @Test
    void drawEachPairEquallyOften() {
        int size = 7;
        long[] pairs = new long[size * size];
        for (int trial = 0; trial < 42_000; trial++) {
            int[] drawn = new int[2];
            new Strata(3 * size, 3, new CounterRandom(trial * 7919L)).draw(1, drawn);
            pairs[(drawn[0] - size) * size + drawn[1] - size]++;
        }
        long[] different = new long[size * (size - 1)];
        int next = 0;
        for (int i = 0; i < pairs.length; i++) {
            if (i / size == i % size) {
                assertThat(pairs[i]).isZero();
            } else {
                different[next++] = pairs[i];
            }
        }
        // 41 degrees of freedom: beyond 1.9 once in some thousand times.
        assertThat(chiSquare(different)).isLessThan(1.9);
    }

    @Test
    void counterRandomIsUniformOverCountersAndKeys() {
        long[] byCounter = new long[100];
        long[] byKey = new long[100];
        long[] bySeed = new long[100];
        for (int i = 0; i < 100_000; i++) {
            byCounter[new CounterRandom(42).nextBelow(i, 100)]++;
            byKey[new CounterRandom(i).nextBelow(1, 100)]++;
            QueryTile tile = new QueryTile(null, i % 5, i % 3, 0, i / 15, 1, 0);
            bySeed[tile.random(7).nextBelow(0, 100)]++;
        }
        // 99 degrees of freedom.
        assertThat(chiSquare(byCounter)).isLessThan(1.5);
        assertThat(chiSquare(byKey)).isLessThan(1.5);
        assertThat(chiSquare(bySeed)).isLessThan(1.5);
    }

    @Test
    void counterRandomDependsOnSeedPositionLayerAndHead() {
        QueryTile tile = new QueryTile(null, 3, 1, 0, 100, 1, 0);
        assertThat(tile.random(1)).isEqualTo(tile.random(1));
        assertThat(tile.random(2)).isNotEqualTo(tile.random(1));
        assertThat(new QueryTile(null, 2, 1, 0, 100, 1, 0).random(1)).isNotEqualTo(tile.random(1));
        assertThat(new QueryTile(null, 3, 0, 0, 100, 1, 0).random(1)).isNotEqualTo(tile.random(1));
        assertThat(new QueryTile(null, 3, 1, 0, 101, 1, 0).random(1)).isNotEqualTo(tile.random(1));
    }
}
