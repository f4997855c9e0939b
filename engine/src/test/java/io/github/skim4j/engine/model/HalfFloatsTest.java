package io.github.skim4j.engine.model;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class HalfFloatsTest {

    @Test
    void float16HasTheValuesOfItsDefinition() {
        for (int bits = 0; bits < 0x10000; bits++) {
            int exponent = bits >> 10 & 0x1f;
            int fraction = bits & 0x3ff;
            double magnitude = switch (exponent) {
                case 0 -> Math.scalb((double) fraction, -24);
                case 31 -> fraction == 0 ? Double.POSITIVE_INFINITY : Double.NaN;
                default -> Math.scalb(1024.0 + fraction, exponent - 25);
            };
            float expected = (float) (bits >= 0x8000 ? -magnitude : magnitude);
            assertThat(HalfFloats.float16ToFloat((short) bits))
                    .as("0x%04x", bits)
                    .isEqualTo(Float.valueOf(expected));
        }
    }

    @Test
    void everyFloat16SurvivesTheWayThere() {
        for (int bits = 0; bits < 0x10000; bits++) {
            float value = HalfFloats.float16ToFloat((short) bits);
            short back = HalfFloats.floatToFloat16(value);
            if (Float.isNaN(value)) {
                assertThat(HalfFloats.float16ToFloat(back)).isNaN();
            } else {
                assertThat(back).as("0x%04x", bits).isEqualTo((short) bits);
            }
        }
    }

    @Test
    void everyBfloat16SurvivesTheWayThere() {
        for (int bits = 0; bits < 0x10000; bits++) {
            float value = HalfFloats.bfloat16ToFloat((short) bits);
            short back = HalfFloats.floatToBfloat16(value);
            if (Float.isNaN(value)) {
                assertThat(HalfFloats.bfloat16ToFloat(back)).isNaN();
            } else {
                assertThat(back).as("0x%04x", bits).isEqualTo((short) bits);
            }
        }
    }

    @Test
    void roundsToTheNearestAndTiesToEven() {
        SplittableRandom random = new SplittableRandom(3);
        for (int n = 0; n < 100_000; n++) {
            float value = (float) Math.scalb(random.nextDouble(-1, 1), random.nextInt(-26, 18));
            assertNearest(value);
        }
        for (int bits = 0; bits < 0x7bff; bits++) {
            float below = HalfFloats.float16ToFloat((short) bits);
            float above = HalfFloats.float16ToFloat((short) (bits + 1));
            assertThat(HalfFloats.floatToFloat16((below + above) / 2)).isEqualTo((short) (bits + (bits & 1)));
        }
        assertThat(HalfFloats.floatToFloat16(65519.996f)).isEqualTo((short) 0x7bff);
        assertThat(HalfFloats.floatToFloat16(65520f)).isEqualTo((short) 0x7c00);
        assertThat(HalfFloats.floatToBfloat16(Float.intBitsToFloat(0x3f808000))).isEqualTo((short) 0x3f80);
        assertThat(HalfFloats.floatToBfloat16(Float.intBitsToFloat(0x3f818000))).isEqualTo((short) 0x3f82);
        assertThat(HalfFloats.floatToBfloat16(Float.intBitsToFloat(0x3f808001))).isEqualTo((short) 0x3f81);
    }

    private static void assertNearest(float value) {
        short half = HalfFloats.floatToFloat16(value);
        float rounded = HalfFloats.float16ToFloat(half);
        if (Float.isInfinite(rounded)) {
            assertThat(Math.abs(value)).isGreaterThanOrEqualTo(65520f);
            return;
        }
        double error = Math.abs((double) value - rounded);
        for (int neighbour : new int[] {half - 1, half + 1}) {
            float other = HalfFloats.float16ToFloat((short) neighbour);
            if (!Float.isNaN(other)) {
                assertThat(error).as("%s", value).isLessThanOrEqualTo(Math.abs((double) value - other));
            }
        }
    }
}
