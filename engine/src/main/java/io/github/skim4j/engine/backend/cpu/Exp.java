package io.github.skim4j.engine.backend.cpu;

/**
 * e^x in float, within 2 ulp: e^x = 2^n · e^r with n = round(x / ln 2) and |r| ≤ ln 2 / 2; ln 2 is subtracted in two parts (Cody and
 * Waite), e^r is a polynomial.
 */
final class Exp {

    /** Below this the result is 0 instead of a denormal, and above {@link #MAX} infinite. */
    static final float MIN = -87.3f;

    static final float MAX = 88f;
    static final float LOG2_E = 1.44269504f;
    static final float LN2_HIGH = 0.693359375f;
    static final float LN2_LOW = -2.12194440e-4f;

    /** Taylor coefficients of e^r, from r^7 down to r^2. */
    static final float C7 = 1 / 5040f;

    static final float C6 = 1 / 720f;

    static final float C5 = 1 / 120f;
    static final float C4 = 1 / 24f;
    static final float C3 = 1 / 6f;
    static final float C2 = 1 / 2f;

    /** Adding it rounds a float to an integer, which then stands in the lowest bits. */
    static final float ROUND = 0x1.8p23f;

    private Exp() {}

    static float exp(float x) {
        if (!(x >= MIN)) {
            return Float.isNaN(x) ? x : 0;
        }
        if (x > MAX) {
            return Float.POSITIVE_INFINITY;
        }
        float n = x * LOG2_E + ROUND - ROUND;
        float r = x - n * LN2_HIGH - n * LN2_LOW;
        float p = (((((C7 * r + C6) * r + C5) * r + C4) * r + C3) * r + C2) * r * r + r + 1;
        return p * Float.intBitsToFloat((int) n + 127 << 23);
    }
}
