package io.github.skim4j.engine.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.RepeatedTest;

class RanksTest {

    @RepeatedTest(20)
    void findsWhatSortingFinds() {
        long seed = System.nanoTime();
        Random random = new Random(seed);
        for (int round = 0; round < 50; round++) {
            int count = 1 + random.nextInt(random.nextBoolean() ? 10 : 2000);
            int kinds = random.nextInt(5);
            float[] values = new float[count + 3];
            Arrays.fill(values, Float.POSITIVE_INFINITY);
            for (int i = 0; i < count; i++) {
                values[i] = switch (kinds) {
                    case 0 -> random.nextInt(4);
                    case 1 -> random.nextInt(3) == 0 ? Float.NEGATIVE_INFINITY : random.nextFloat();
                    case 2 -> i;
                    case 3 -> -1 - random.nextFloat();
                    default -> (float) random.nextGaussian();
                };
            }
            float[] sorted = Arrays.copyOf(values, count);
            Arrays.sort(sorted);
            int rank = 1 + random.nextInt(count);
            assertThat(Ranks.largest(values.clone(), count, rank))
                    .as("seed %s, rank %s of %s", seed, rank, count)
                    .isEqualTo(sorted[count - rank]);
        }
    }
}
