package io.github.skim4j.engine.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.skim4j.engine.model.HalfFloats;
import java.util.Random;
import org.junit.jupiter.api.Test;

class Float8Test {

    private static final int CODES = 0x7f;

    /** What a code without sign stands for, from the definition of e4m3. */
    private static double magnitude(int code) {
        int exponent = code >> 3;
        int mantissa = code & 7;
        return exponent == 0 ? mantissa * 0x1p-9 : (8 + mantissa) * Math.pow(2, exponent - 10);
    }

    private static double value(int code) {
        return (code & 0x80) == 0 ? magnitude(code) : -magnitude(code & 0x7f);
    }

    /** The greatest code whose magnitude is not above {@code x}. */
    private static int below(double x) {
        int code = CODES - 1;
        while (magnitude(code) > x) {
            code--;
        }
        return code;
    }

    private static int above(double x) {
        int below = below(x);
        return magnitude(below) == x ? below : Math.min(CODES - 1, below + 1);
    }

    private static int nearest(double x) {
        int below = below(x);
        int above = above(x);
        double down = x - magnitude(below);
        double up = magnitude(above) - x;
        return down < up || down == up && below % 2 == 0 ? below : above;
    }

    private static void check(float x) {
        double magnitude = Math.abs((double) x);
        int sign = x < 0 ? 0x80 : 0;
        assertThat(Float8.round(x)).as("%s", x).isEqualTo(sign | nearest(magnitude));
        assertThat(Float8.ceil(x)).as("%s", x).isEqualTo(sign | (x > 0 ? above(magnitude) : below(magnitude)));
        assertThat(Float8.floor(x)).as("%s", x).isEqualTo(sign | (x < 0 ? above(magnitude) : below(magnitude)));
    }

    @Test
    void roundsEveryBfloat16AsDefined() {
        for (int bits = 0; bits < 1 << 16; bits++) {
            float x = HalfFloats.bfloat16ToFloat((short) bits);
            if (!Float.isNaN(x)) {
                check(x);
            }
        }
    }

    @Test
    void roundsFloatsNextToEveryCodeAndHalfwayAsDefined() {
        for (int code = 0; code < CODES - 1; code++) {
            for (double x : new double[] {magnitude(code), (magnitude(code) + magnitude(code + 1)) / 2}) {
                for (float sign : new float[] {-1, 1}) {
                    check(sign * (float) x);
                    check(sign * Math.nextUp((float) x));
                    check(sign * Math.nextDown((float) x));
                }
            }
        }
        Random random = new Random(8);
        for (int i = 0; i < 100_000; i++) {
            check((float) (random.nextGaussian() * Math.pow(2, random.nextInt(24) - 12)));
        }
    }

    @Test
    void codesStandForTheirValues() {
        for (int code = 0; code < CODES; code++) {
            assertThat((double) Float8.toFloat(code)).isEqualTo(value(code));
            assertThat((double) Float8.toFloat(code | 0x80)).isEqualTo(value(code | 0x80));
        }
        assertThat(magnitude(CODES - 1)).isEqualTo(448);
    }

    @Test
    void theScaleIsTheLeastPowerOfTwoThatFits() {
        Random random = new Random(9);
        for (int i = 0; i < 100_000; i++) {
            float greatest = (float) (random.nextDouble() * Math.pow(2, random.nextInt(230) - 110));
            checkScale(greatest);
        }
        for (float greatest :
                new float[] {0, Float.MIN_VALUE, 447.99997f, 448, 448.00003f, 0.875f, 1, Float.MAX_VALUE}) {
            checkScale(greatest);
        }
    }

    private static void checkScale(float greatest) {
        double least = 0x1p-100;
        while (greatest > 448 * least) {
            least *= 2;
        }
        assertThat((double) Float8.scale(greatest)).as("%s", greatest).isEqualTo(least);
    }
}
