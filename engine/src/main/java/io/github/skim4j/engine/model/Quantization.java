package io.github.skim4j.engine.model;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;

/**
 * Conversion between stored blocks and floats, bit for bit as ggml's reference functions ({@code ggml-quants.c}) without fused
 * multiply-add. All numbers are little-endian. {@code d} is a block's scale, {@code m} what is added or subtracted after scaling.
 */
public final class Quantization {

    private static final VarHandle SHORT = MethodHandles.byteArrayViewVarHandle(short[].class, ByteOrder.LITTLE_ENDIAN);
    private static final VarHandle INT = MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.LITTLE_ENDIAN);

    /** The 16 values of IQ4_NL and IQ4_XS. */
    private static final byte[] IQ4_VALUES = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

    private Quantization() {}

    /**
     * Converts {@code count} elements, whole blocks, to float.
     *
     * @param source blocks as stored
     * @param sourceOffset first byte
     * @throws IllegalArgumentException if {@code count} is not whole blocks
     */
    public static void dequantize(
            TensorType type, byte[] source, int sourceOffset, float[] target, int targetOffset, int count) {
        int blocks = blocks(type, count);
        switch (type) {
            case F32 -> {
                for (int i = 0; i < count; i++) {
                    target[targetOffset + i] = Float.intBitsToFloat((int) INT.get(source, sourceOffset + 4 * i));
                }
            }
            case F16 -> {
                for (int i = 0; i < count; i++) {
                    target[targetOffset + i] = float16(source, sourceOffset + 2 * i);
                }
            }
            case BF16 -> {
                for (int i = 0; i < count; i++) {
                    target[targetOffset + i] =
                            HalfFloats.bfloat16ToFloat((short) SHORT.get(source, sourceOffset + 2 * i));
                }
            }
            default -> {
                BlockReader reader = reader(type);
                for (int b = 0; b < blocks; b++) {
                    reader.read(
                            source, sourceOffset + b * type.blockBytes(), target, targetOffset + b * type.blockSize());
                }
            }
        }
    }

    /**
     * Converts {@code count} floats, whole blocks, to {@code type}: F32, F16, BF16, Q8_0 or Q4_0.
     *
     * @param target receives the blocks
     * @param targetOffset first byte
     * @throws IllegalArgumentException if {@code count} is not whole blocks, or for another type
     */
    public static void quantize(
            TensorType type, float[] source, int sourceOffset, byte[] target, int targetOffset, int count) {
        int blocks = blocks(type, count);
        switch (type) {
            case F32 -> {
                for (int i = 0; i < count; i++) {
                    INT.set(target, targetOffset + 4 * i, Float.floatToRawIntBits(source[sourceOffset + i]));
                }
            }
            case F16 -> {
                for (int i = 0; i < count; i++) {
                    SHORT.set(target, targetOffset + 2 * i, HalfFloats.floatToFloat16(source[sourceOffset + i]));
                }
            }
            case BF16 -> {
                for (int i = 0; i < count; i++) {
                    SHORT.set(target, targetOffset + 2 * i, HalfFloats.floatToBfloat16(source[sourceOffset + i]));
                }
            }
            case Q8_0 -> {
                for (int b = 0; b < blocks; b++) {
                    writeQ8_0(source, sourceOffset + 32 * b, target, targetOffset + 34 * b);
                }
            }
            case Q4_0 -> {
                for (int b = 0; b < blocks; b++) {
                    writeQ4_0(source, sourceOffset + 32 * b, target, targetOffset + 18 * b);
                }
            }
            default -> throw new IllegalArgumentException("can't quantize to " + type);
        }
    }

    /** Reads one block from {@code source[s…]} to {@code target[t…]}. */
    @FunctionalInterface
    private interface BlockReader {
        void read(byte[] source, int s, float[] target, int t);
    }

    private static BlockReader reader(TensorType type) {
        return switch (type) {
            case Q8_0 -> Quantization::readQ8_0;
            case Q4_0 -> Quantization::readQ4_0;
            case Q4_1 -> Quantization::readQ4_1;
            case Q5_0 -> Quantization::readQ5_0;
            case Q5_1 -> Quantization::readQ5_1;
            case Q2_K -> Quantization::readQ2_K;
            case Q3_K -> Quantization::readQ3_K;
            case Q4_K -> Quantization::readQ4_K;
            case Q5_K -> Quantization::readQ5_K;
            case Q6_K -> Quantization::readQ6_K;
            case IQ4_NL -> Quantization::readIq4Nl;
            case IQ4_XS -> Quantization::readIq4Xs;
            case F32, F16, BF16 -> throw new IllegalArgumentException(type + " has no blocks");
        };
    }

    private static int blocks(TensorType type, int count) {
        if (count % type.blockSize() != 0) {
            throw new IllegalArgumentException(
                    count + " elements are not whole blocks of " + type.blockSize() + " for " + type);
        }
        return count / type.blockSize();
    }

    private static float float16(byte[] source, int s) {
        return HalfFloats.float16ToFloat((short) SHORT.get(source, s));
    }

    private static int low(byte[] source, int s) {
        return source[s] & 0xf;
    }

    private static int high(byte[] source, int s) {
        return source[s] >>> 4 & 0xf;
    }

    /** d, 32 signed bytes. */
    private static void readQ8_0(byte[] source, int s, float[] target, int t) {
        float d = float16(source, s);
        for (int i = 0; i < 32; i++) {
            target[t + i] = source[s + 2 + i] * d;
        }
    }

    /** d, 16 bytes: elements 0 … 15 in the low halves, 16 … 31 in the high ones. */
    private static void readQ4_0(byte[] source, int s, float[] target, int t) {
        float d = float16(source, s);
        for (int i = 0; i < 16; i++) {
            target[t + i] = (low(source, s + 2 + i) - 8) * d;
            target[t + 16 + i] = (high(source, s + 2 + i) - 8) * d;
        }
    }

    /** d, m, 16 bytes as in Q4_0. */
    private static void readQ4_1(byte[] source, int s, float[] target, int t) {
        float d = float16(source, s);
        float m = float16(source, s + 2);
        for (int i = 0; i < 16; i++) {
            target[t + i] = low(source, s + 4 + i) * d + m;
            target[t + 16 + i] = high(source, s + 4 + i) * d + m;
        }
    }

    /** d, one fifth bit an element, 16 bytes as in Q4_0. */
    private static void readQ5_0(byte[] source, int s, float[] target, int t) {
        float d = float16(source, s);
        int fifth = (int) INT.get(source, s + 2);
        for (int i = 0; i < 16; i++) {
            target[t + i] = ((low(source, s + 6 + i) | (fifth >>> i & 1) << 4) - 16) * d;
            target[t + 16 + i] = ((high(source, s + 6 + i) | (fifth >>> 16 + i & 1) << 4) - 16) * d;
        }
    }

    /** d, m, one fifth bit an element, 16 bytes as in Q4_0. */
    private static void readQ5_1(byte[] source, int s, float[] target, int t) {
        float d = float16(source, s);
        float m = float16(source, s + 2);
        int fifth = (int) INT.get(source, s + 4);
        for (int i = 0; i < 16; i++) {
            target[t + i] = (low(source, s + 8 + i) | (fifth >>> i & 1) << 4) * d + m;
            target[t + 16 + i] = (high(source, s + 8 + i) | (fifth >>> 16 + i & 1) << 4) * d + m;
        }
    }

    /**
     * 16 bytes of scale (low) and minimum (high) a group of 16, 64 bytes of 2-bit values, d, m. The bits of group g are in bytes
     * 32·(g/8) + 16·(g%2) …, shifted by 2·(g%8/2).
     */
    private static void readQ2_K(byte[] source, int s, float[] target, int t) {
        float d = float16(source, s + 80);
        float m = float16(source, s + 82);
        for (int g = 0; g < 16; g++) {
            float scale = d * low(source, s + g);
            float minimum = m * high(source, s + g);
            int values = s + 16 + 32 * (g / 8) + 16 * (g % 2);
            int shift = g % 8 / 2 * 2;
            for (int i = 0; i < 16; i++) {
                target[t + 16 * g + i] = scale * (source[values + i] >>> shift & 3) - minimum;
            }
        }
    }

    /**
     * 32 bytes of third bits (bit g/2 of byte 16·(g%2) + i), 64 bytes of 2-bit values as in Q2_K, 12 bytes with 16 scales of 6
     * bits, d.
     */
    private static void readQ3_K(byte[] source, int s, float[] target, int t) {
        float d = float16(source, s + 108);
        for (int g = 0; g < 16; g++) {
            int lowBits = g < 8 ? low(source, s + 96 + g) : high(source, s + 96 + g - 8);
            int highBits = source[s + 104 + g % 4] >>> 2 * (g / 4) & 3;
            float scale = d * ((lowBits | highBits << 4) - 32);
            int thirds = s + 16 * (g % 2);
            int values = s + 32 + 32 * (g / 8) + 16 * (g % 2);
            int shift = g % 8 / 2 * 2;
            for (int i = 0; i < 16; i++) {
                int third = source[thirds + i] >>> g / 2 & 1;
                target[t + 16 * g + i] = scale * ((source[values + i] >>> shift & 3 | third << 2) - 4);
            }
        }
    }

    /** d, m, 12 bytes with 8 scales and 8 minima of 6 bits, 128 bytes of which group g of 32 has 32·(g/2) … */
    private static void readQ4_K(byte[] source, int s, float[] target, int t) {
        float d = float16(source, s);
        float m = float16(source, s + 2);
        for (int g = 0; g < 8; g++) {
            float scale = d * scaleK(source, s + 4, g);
            float minimum = m * minimumK(source, s + 4, g);
            int values = s + 16 + 32 * (g / 2);
            int shift = 4 * (g % 2);
            for (int i = 0; i < 32; i++) {
                target[t + 32 * g + i] = scale * (source[values + i] >>> shift & 0xf) - minimum;
            }
        }
    }

    /** d, m, scales as in Q4_K, 32 bytes of fifth bits (bit g of byte i), 128 bytes as in Q4_K. */
    private static void readQ5_K(byte[] source, int s, float[] target, int t) {
        float d = float16(source, s);
        float m = float16(source, s + 2);
        for (int g = 0; g < 8; g++) {
            float scale = d * scaleK(source, s + 4, g);
            float minimum = m * minimumK(source, s + 4, g);
            int values = s + 48 + 32 * (g / 2);
            int shift = 4 * (g % 2);
            for (int i = 0; i < 32; i++) {
                int fifth = source[s + 16 + i] >>> g & 1;
                target[t + 32 * g + i] = scale * (source[values + i] >>> shift & 0xf | fifth << 4) - minimum;
            }
        }
    }

    /** Scale of group g in the 12 bytes of Q4_K and Q5_K: the first four lie whole, the others in two parts. */
    private static int scaleK(byte[] source, int scales, int g) {
        return g < 4
                ? source[scales + g] & 0x3f
                : low(source, scales + g + 4) | (source[scales + g - 4] >>> 6 & 3) << 4;
    }

    private static int minimumK(byte[] source, int scales, int g) {
        return g < 4
                ? source[scales + g + 4] & 0x3f
                : high(source, scales + g + 4) | (source[scales + g] >>> 6 & 3) << 4;
    }

    /**
     * 128 bytes of low halves, 64 bytes of upper 2 bits, 16 signed scales, d. In each half of 128 elements, group g of 32 has its
     * low bits in bytes 32·(g%2) … (high halves from g = 2) and its upper bits shifted by 2·g.
     */
    private static void readQ6_K(byte[] source, int s, float[] target, int t) {
        float d = float16(source, s + 208);
        for (int g = 0; g < 8; g++) {
            int lows = s + 64 * (g / 4) + 32 * (g % 2);
            int lowShift = g % 4 / 2 * 4;
            int highs = s + 128 + 32 * (g / 4);
            int highShift = 2 * (g % 4);
            for (int i = 0; i < 32; i++) {
                float scale = d * source[s + 192 + 2 * g + i / 16];
                int value = source[lows + i] >>> lowShift & 0xf | (source[highs + i] >>> highShift & 3) << 4;
                target[t + 32 * g + i] = scale * (value - 32);
            }
        }
    }

    /** As Q4_0, but the 4 bits are an index. */
    private static void readIq4Nl(byte[] source, int s, float[] target, int t) {
        readIq4(float16(source, s), source, s + 2, target, t);
    }

    /** d, 16 bits with the upper 2 bits of 8 scales, 4 bytes with their low halves, 8 groups as in IQ4_NL. */
    private static void readIq4Xs(byte[] source, int s, float[] target, int t) {
        float d = float16(source, s);
        int upper = (short) SHORT.get(source, s + 2);
        for (int g = 0; g < 8; g++) {
            int scale = source[s + 4 + g / 2] >>> 4 * (g % 2) & 0xf | (upper >>> 2 * g & 3) << 4;
            readIq4(d * (scale - 32), source, s + 8 + 16 * g, target, t + 32 * g);
        }
    }

    private static void readIq4(float d, byte[] source, int s, float[] target, int t) {
        for (int i = 0; i < 16; i++) {
            target[t + i] = IQ4_VALUES[low(source, s + i)] * d;
            target[t + 16 + i] = IQ4_VALUES[high(source, s + i)] * d;
        }
    }

    /** The scale maps the largest magnitude to 127; ties round away from zero. */
    private static void writeQ8_0(float[] source, int s, byte[] target, int t) {
        float largest = 0;
        for (int i = 0; i < 32; i++) {
            largest = Math.max(largest, Math.abs(source[s + i]));
        }
        float d = largest / 127;
        float inverse = inverse(d);
        SHORT.set(target, t, HalfFloats.floatToFloat16(d));
        for (int i = 0; i < 32; i++) {
            float scaled = source[s + i] * inverse;
            target[t + 2 + i] = (byte) (scaled + Math.copySign(0.5, scaled));
        }
    }

    /** The scale maps the value of the largest magnitude, with its sign, to -8. */
    private static void writeQ4_0(float[] source, int s, byte[] target, int t) {
        float largest = 0;
        for (int i = 0; i < 32; i++) {
            float value = source[s + i];
            if (Math.abs(value) > Math.abs(largest)) {
                largest = value;
            }
        }
        float d = largest / -8;
        float inverse = inverse(d);
        SHORT.set(target, t, HalfFloats.floatToFloat16(d));
        for (int i = 0; i < 16; i++) {
            int low = Math.min(15, (int) (source[s + i] * inverse + 8.5f));
            int high = Math.min(15, (int) (source[s + 16 + i] * inverse + 8.5f));
            target[t + 2 + i] = (byte) (low | high << 4);
        }
    }

    /** 0 for a scale that is zero or so small that its inverse is no float. */
    private static float inverse(float d) {
        float inverse = 1 / d;
        return Float.isInfinite(inverse) ? 0 : inverse;
    }
}
