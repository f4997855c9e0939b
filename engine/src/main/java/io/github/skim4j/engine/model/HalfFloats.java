package io.github.skim4j.engine.model;

/** The two 16-bit float formats: IEEE 754 binary16 (F16) and bfloat16, the upper half of a binary32. */
public final class HalfFloats {

    private HalfFloats() {}

    public static float float16ToFloat(short half) {
        int magnitude = half & 0x7fff;
        float value = magnitude >= 0x7c00
                ? Float.intBitsToFloat(0x7f800000 | magnitude << 13)
                // Moved to their place in a float, exponent and mantissa, subnormal or not, are 2^112 too small.
                : Float.intBitsToFloat(magnitude << 13) * 0x1p112f;
        return half < 0 ? -value : value;
    }

    /** Rounds to nearest, ties to even. */
    public static short floatToFloat16(float value) {
        int bits = Float.floatToIntBits(value);
        int sign = bits >>> 16 & 0x8000;
        float magnitude = Math.abs(value);
        int half;
        if (Float.isNaN(value)) {
            half = 0x7e00;
        } else if (magnitude >= 65520) {
            half = 0x7c00;
        } else if (magnitude < 0x1p-14f) {
            half = (int) Math.rint(magnitude * 0x1p24f);
        } else {
            int positive = bits & 0x7fffffff;
            half = (positive + 0xfff + (positive >>> 13 & 1) >>> 13) - (112 << 10);
        }
        return (short) (sign | half);
    }

    public static float bfloat16ToFloat(short half) {
        return Float.intBitsToFloat(half << 16);
    }

    /** Rounds to nearest, ties to even. */
    public static short floatToBfloat16(float value) {
        int bits = Float.floatToRawIntBits(value);
        if (Float.isNaN(value)) {
            return (short) (bits >>> 16 | 0x40);
        }
        return (short) (bits + 0x7fff + (bits >>> 16 & 1) >>> 16);
    }

    /** Rounds down: the greatest bfloat16 that is not above {@code value}. */
    public static short floorToBfloat16(float value) {
        int bits = Float.floatToRawIntBits(value);
        int half = bits >>> 16;
        return (short) (bits < 0 && (bits & 0xffff) != 0 ? half + 1 : half);
    }
}
