package io.github.skim4j.engine.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.EnumSource.Mode;

class QuantizationTest {

    @ParameterizedTest
    @EnumSource(
            mode = Mode.EXCLUDE,
            names = {"F32", "F16", "BF16"})
    void dequantizesLikeTheReference(TensorType type) throws IOException {
        byte[] blocks = golden(type + ".bin");
        float[] expected = floats(golden(type + ".f32"));
        float[] actual = new float[expected.length];

        Quantization.dequantize(type, blocks, 0, actual, 0, actual.length);

        assertThat(actual).containsExactly(expected);
    }

    @ParameterizedTest
    @EnumSource(names = {"Q8_0", "Q4_0"})
    void quantizesLikeTheReference(TensorType type) throws IOException {
        float[] values = floats(golden("floats.f32"));
        byte[] expected = golden("floats." + type + ".bin");
        byte[] actual = new byte[expected.length];

        Quantization.quantize(type, values, 0, actual, 0, values.length);

        assertThat(actual).containsExactly(expected);
    }

    @ParameterizedTest
    @EnumSource(names = {"F32", "F16", "BF16", "Q8_0", "Q4_0"})
    void quantizesAndDequantizesAtAnyOffset(TensorType type) {
        int count = 2 * type.blockSize();
        float[] values = new float[count + 3];
        SplittableRandom random = new SplittableRandom(1);
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) random.nextDouble(-1, 1);
        }
        byte[] blocks = new byte[(int) type.bytes(count) + 5];
        Quantization.quantize(type, values, 3, blocks, 5, count);
        float[] restored = new float[count + 7];
        Quantization.dequantize(type, blocks, 5, restored, 7, count);

        float tolerance = switch (type) {
            case F32 -> 0;
            case F16 -> 0x1p-11f;
            case BF16 -> 0x1p-8f;
            case Q8_0 -> 0.005f;
            default -> 0.15f;
        };
        for (int i = 0; i < count; i++) {
            assertThat(restored[7 + i]).isCloseTo(values[3 + i], within(tolerance));
        }
        for (int i = 0; i < 5; i++) {
            assertThat(blocks[i]).isZero();
        }
    }

    @Test
    void blocksTooSmallForAScaleBecomeZero() {
        float[] values = new float[32];
        values[5] = Float.MIN_VALUE;
        for (TensorType type : new TensorType[] {TensorType.Q8_0, TensorType.Q4_0}) {
            byte[] block = new byte[type.blockBytes()];
            Quantization.quantize(type, values, 0, block, 0, 32);
            float[] restored = new float[32];
            Quantization.dequantize(type, block, 0, restored, 0, 32);
            for (float value : restored) {
                assertThat(Math.abs(value)).isZero();
            }
        }
    }

    @Test
    void refusesPartsOfABlock() {
        assertThatThrownBy(() -> Quantization.dequantize(TensorType.Q4_K, new byte[144], 0, new float[256], 0, 128))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("128")
                .hasMessageContaining("256");
        assertThatThrownBy(() -> Quantization.quantize(TensorType.Q4_K, new float[256], 0, new byte[144], 0, 256))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("Q4_K");
    }

    private static byte[] golden(String name) throws IOException {
        try (InputStream in = QuantizationTest.class.getResourceAsStream("/goldens/quant/" + name)) {
            return in.readAllBytes();
        }
    }

    private static float[] floats(byte[] bytes) {
        float[] values = new float[bytes.length / 4];
        ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().get(values);
        return values;
    }
}
