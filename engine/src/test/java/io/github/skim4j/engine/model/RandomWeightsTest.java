package io.github.skim4j.engine.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.EnumSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class RandomWeightsTest {

    private static final ModelConfig CONFIG = config(true, true);

    private static ModelConfig config(boolean qkNorm, boolean tied) {
        return new ModelConfig(
                Architecture.QWEN3,
                100,
                64,
                96,
                2,
                4,
                2,
                32,
                128,
                1e-6f,
                new Rope(10_000, new Rope.None(), false),
                0,
                0,
                qkNorm,
                tied);
    }

    @ParameterizedTest
    @EnumSource(names = {"F32", "F16", "BF16", "Q8_0", "Q4_0"})
    void matricesHaveTheShapesAndTheVarianceOfTheirColumns(TensorType type) {
        RandomWeights weights = new RandomWeights(CONFIG, type, 1);
        for (TensorRole role : TensorRole.values()) {
            if (!role.isMatrix() || role == TensorRole.OUTPUT) {
                continue;
            }
            Tensor tensor = weights.require(role, 1);
            assertThat(tensor.type()).isEqualTo(type);
            assertThat(tensor.rows()).isEqualTo(role.rows(CONFIG));
            assertThat(tensor.columns()).isEqualTo(role.columns(CONFIG));
            double sum = 0;
            double squares = 0;
            for (float value : tensor.toFloats()) {
                sum += value;
                squares += value * value;
            }
            double count = (double) tensor.rows() * tensor.columns();
            double deviation = 1 / Math.sqrt(tensor.columns());
            assertThat(sum / count).isCloseTo(0, within(0.2 * deviation));
            assertThat(Math.sqrt(squares / count)).isCloseTo(deviation, within(0.1 * deviation));
        }
    }

    @Test
    void rowsAreTheSameHoweverTheyAreRead() {
        for (TensorType type : EnumSet.of(TensorType.F32, TensorType.Q8_0, TensorType.Q4_0)) {
            Tensor tensor = new RandomWeights(CONFIG, type, 7).require(TensorRole.GATE, 0);
            byte[] all = new byte[(int) tensor.bytes()];
            tensor.read(0, tensor.rows(), all, 0);
            byte[] again = new byte[all.length];
            for (int row = tensor.rows() - 1; row >= 0; row--) {
                tensor.read(row, 1, again, row * tensor.rowBytes());
            }
            assertThat(again).isEqualTo(all);
        }
    }

    @Test
    void seedLayerAndRoleMakeTheDifference() {
        float[] values = values(1, TensorRole.GATE, 0);
        assertThat(values).isEqualTo(values(1, TensorRole.GATE, 0));
        assertThat(values).isNotEqualTo(values(2, TensorRole.GATE, 0));
        assertThat(values).isNotEqualTo(values(1, TensorRole.GATE, 1));
        assertThat(values).isNotEqualTo(values(1, TensorRole.UP, 0));
    }

    private static float[] values(long seed, TensorRole role, int layer) {
        return new RandomWeights(CONFIG, TensorType.BF16, seed)
                .require(role, layer)
                .toFloats();
    }

    @Test
    void hasTheTensorsThatTheConfigAsksFor() {
        RandomWeights weights =
                new RandomWeights(config(false, false), TensorType.F32, EnumSet.of(TensorRole.QUERY_BIAS), 1);
        assertThat(weights.find(TensorRole.QUERY_NORM, 0)).isNull();
        assertThat(weights.find(TensorRole.KEY_BIAS, 0)).isNull();
        assertThat(weights.find(TensorRole.OUTPUT, 0)).isNotNull();
        assertThat(weights.find(TensorRole.QUERY_BIAS, 0).columns()).isEqualTo(128);
        assertThat(new RandomWeights(CONFIG, TensorType.F32, 1).find(TensorRole.OUTPUT, 0))
                .isNull();
        for (float value : weights.require(TensorRole.FFN_NORM, 1).toFloats()) {
            assertThat(value).isBetween(0.9f, 1.1f);
        }
    }

    @Test
    void refusesWhatItCannotMake() {
        assertThatThrownBy(() -> new RandomWeights(CONFIG, TensorType.Q4_K, 1))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("Q4_K");
        ModelConfig odd = new ModelConfig(
                Architecture.LLAMA, 10, 40, 64, 1, 1, 1, 40, 16, 1e-5f, CONFIG.rope(), 0, 0, false, true);
        assertThatThrownBy(() -> new RandomWeights(odd, TensorType.Q8_0, 1))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("40 columns");
        Tensor tensor = new RandomWeights(CONFIG, TensorType.F32, 1).require(TensorRole.KEY, 0);
        assertThatThrownBy(() -> tensor.read(tensor.rows(), 1, new byte[tensor.rowBytes()], 0))
                .isInstanceOf(IndexOutOfBoundsException.class);
        assertThatThrownBy(() -> tensor.read(0, 1, new byte[tensor.rowBytes()], 1))
                .isInstanceOf(IndexOutOfBoundsException.class);
    }
}
