package io.github.skim4j.engine.backend.cpu;

/**
 * The 8-bit float format e4m3: sign, exponent of bias 7, 3 bits of mantissa; ±448 at most, no infinity. A block of numbers has a power of
 * two as their common scale, by which they are divided before they are rounded: that rounds nothing by itself.
 */
final class Float8 {

    private static final int SIGN = 0x80;
    private static final int GREATEST = 0x7e;
    private static final float LEAST_NORMAL = 0x1p-6f;
    private static final float SUBNORMALS = 0x1p9f;

    /** What an exponent is larger by in a float, at the place of the bits that e4m3 keeps. */
    private static final int BIAS = 127 - 7 << 3;

    /**
     * Shifted right by four from the top of a word, these bits of it, subnormal or not, are a float that lacks the difference of the biases, 2^120.
     */
    static final int FLOAT_BITS = 0x87f00000;

    /** The root of what such a float lacks: no product with it is subnormal where one of it all would overflow. */
    static final float ROOT_OF_BIAS = 0x1p60f;

    /** The least scale, 2^-100: all multiples of it that are stored are normal floats, and its reciprocal is one. */
    private static final int LEAST_SCALE = 27;

    private Float8() {}

    /** The least power of two, but no less than 2^-100, by which {@code greatest}, not negative, makes 448 or less. */
    static float scale(float greatest) {
        // The sum carries into the exponent if the mantissa is above that of 448.
        int exponent = (Float.floatToRawIntBits(greatest) + 0x1fffff >>> 23) - 8;
        return Float.intBitsToFloat(Math.max(LEAST_SCALE, exponent) << 23);
    }

    /** To the nearest, ties to even, saturating. */
    static int round(float value) {
        float magnitude = Math.abs(value);
        int bits = Float.floatToRawIntBits(magnitude);
        int code = magnitude < LEAST_NORMAL
                ? (int) Math.rint(magnitude * SUBNORMALS)
                : (bits + 0x7ffff + (bits >>> 20 & 1) >>> 20) - BIAS;
        return withSign(value, code);
    }

    /** The least one that is not below {@code value}, saturating. */
    static int ceil(float value) {
        return value > 0 ? away(value) : withSign(value, towardsZero(-value));
    }

    /** The greatest one that is not above {@code value}, saturating. */
    static int floor(float value) {
        return value < 0 ? withSign(value, away(-value)) : towardsZero(value);
    }

    private static int away(float positive) {
        int code = positive < LEAST_NORMAL
                ? (int) Math.ceil(positive * SUBNORMALS)
                : (Float.floatToRawIntBits(positive) + 0xfffff >>> 20) - BIAS;
        return Math.min(GREATEST, code);
    }

    private static int towardsZero(float magnitude) {
        int code = magnitude < LEAST_NORMAL
                ? (int) (magnitude * SUBNORMALS)
                : (Float.floatToRawIntBits(magnitude) >>> 20) - BIAS;
        return Math.min(GREATEST, code);
    }

    private static int withSign(float value, int code) {
        return (value < 0 ? SIGN : 0) | Math.min(GREATEST, code);
    }

    static float toFloat(int code) {
        return unbiased(code << 24) * ROOT_OF_BIAS * ROOT_OF_BIAS;
    }

    /** Of the code that the uppermost bits of a word are, see {@link #FLOAT_BITS}. */
    static float unbiased(int word) {
        return Float.intBitsToFloat(word >> 4 & FLOAT_BITS);
    }
}
