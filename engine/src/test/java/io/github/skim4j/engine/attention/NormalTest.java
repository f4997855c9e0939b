package io.github.skim4j.engine.attention;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;

class NormalTest {

    @Test
    void quantilesAreThoseOfTheTables() {
        double[][] table = {{0.5, 0}, {0.975, 1.959964}, {0.95, 1.644854}, {0.995, 2.575829}, {0.9995, 3.290527}};
        for (double[] row : table) {
            assertThat(Normal.quantile(row[0])).isCloseTo(row[1], within(5e-4));
            assertThat(Normal.quantile(1 - row[0])).isCloseTo(-row[1], within(5e-4));
        }
    }
}
