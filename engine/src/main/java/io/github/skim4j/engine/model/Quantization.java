package io.github.skim4j.engine.model;

/** Conversion between stored blocks and floats, after ggml's formats. */
public final class Quantization {

    private Quantization() {}

    /**
     * Converts {@code count} elements, whole blocks, to float.
     *
     * @param source blocks as stored
     * @param sourceOffset first byte
     */
    public static void dequantize(
            TensorType type, byte[] source, int sourceOffset, float[] target, int targetOffset, int count) {
        throw new UnsupportedOperationException("not yet: " + type);
    }
}
