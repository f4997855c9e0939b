package io.github.skim4j.engine.backend.cpu;

/**
 * e^x between 0 and 6.2 % too large, in four operations (Schraudolph, Neural Computation 11(4), 1999): x / ln 2 in fixed point is the exponent and
 * a straight line for the mantissa of the result. The fixed-point number stands in the low bits of a float of magnitude 2^23.
 */
final class RoughExp {

    /** Bits after the binary point. */
    private static final int FRACTION = 14;

    static final float FACTOR = (float) ((1 << FRACTION) / Math.log(2));

    /** Fixed point 0: e^x for x below -88. */
    static final float ZERO = 0x1p23f;

    static final int ZERO_BITS = Float.floatToRawIntBits(ZERO);

    /** From a float's low bits to its exponent. */
    static final int SHIFT = 23 - FRACTION;

    private RoughExp() {}

    /** {@code max(x * FACTOR + addend(shift), ZERO)}, its bits shifted left by {@link #SHIFT}, are e^(x - shift) for x at most shift. */
    static float addend(float shift) {
        return ZERO + 127 * (1 << FRACTION) - shift * FACTOR;
    }
}
