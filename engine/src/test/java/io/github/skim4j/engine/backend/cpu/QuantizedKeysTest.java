package io.github.skim4j.engine.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.skim4j.engine.backend.cpu.SparseFixture.Shape;
import io.github.skim4j.engine.kv.KvCacheConfig.KvType;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class QuantizedKeysTest {

    /** Dimensions of the label channels, [layer][kvHead][channel]. */
    private static int[][][] labels(Shape shape, int channels, Random random) {
        int[][][] dimensions = new int[shape.layers()][shape.kvHeads()][];
        for (int[][] layer : dimensions) {
            for (int head = 0; head < layer.length; head++) {
                int[] all = IntStream.range(0, shape.headDim()).toArray();
                for (int i = 0; i < channels; i++) {
                    int j = i + random.nextInt(all.length - i);
                    int swapped = all[i];
                    all[i] = all[j];
                    all[j] = swapped;
                }
                layer[head] = Arrays.copyOf(all, channels);
            }
        }
        return dimensions;
    }

    private static float[][] estimates(
            CpuKernels kernels, SparseFixture fixture, QuantizedKeys keys, int layer, int head) {
        QuantizedScorer scorer = new QuantizedScorer(kernels, keys, fixture.shape.headDim(), fixture.shape.pageSize());
        return fixture.estimates(scorer, layer, head);
    }

    @TestEachKernels
    void logitsAreOffByHalfALevelAtMost(CpuKernels kernels) {
        for (int seed = 0; seed < 16; seed++) {
            Random random = new Random(seed);
            Shape shape = Shape.random(random);
            boolean labels = random.nextBoolean();
            String what = "seed " + seed + ", labels " + labels + ", " + shape;
            try (SparseFixture fixture =
                    new SparseFixture(shape, kernels, shape.pageSize() + 1, 1, 0, random).fill(random, 10)) {
                int layer = shape.layers() - 1;
                QuantizedKeys keys = fixture.filled(
                        new QuantizedKeys(
                                fixture.config,
                                shape.pageSize(),
                                fixture.pages.count(),
                                labels ? labels(shape, 8 * (1 + random.nextInt(2)), random) : null),
                        layer);
                for (int head = 0; head < shape.kvHeads(); head++) {
                    float[][] logits = estimates(kernels, fixture, keys, layer, head);
                    for (int t = 0; t < shape.pageSize(); t++) {
                        assertWithin(what, fixture, keys, layer, head, t, logits);
                    }
                }
            }
        }
    }

    private static void assertWithin(
            String what, SparseFixture fixture, QuantizedKeys keys, int layer, int head, int token, float[][] logits) {
        float[] key = fixture.key(layer, head, token);
        double max = Double.NEGATIVE_INFINITY;
        double min = Double.POSITIVE_INFINITY;
        for (int c = 0; c < keys.channels(); c++) {
            max = Math.max(max, key[keys.dimension(layer, head, c)]);
            min = Math.min(min, key[keys.dimension(layer, head, c)]);
        }
        for (int r = 0; r < fixture.shape.group(); r++) {
            float[] query = fixture.query(0, head * fixture.shape.group() + r);
            double exact = 0;
            double absolute = 0;
            for (int c = 0; c < keys.channels(); c++) {
                int dimension = keys.dimension(layer, head, c);
                exact += query[dimension] * key[dimension];
                absolute += Math.abs(query[dimension]);
            }
            // Scale and minimum are bfloat16, which widens the range a little.
            double scale = (max - min + Math.abs(min) / 128) / 15 * (1 + 1 / 128.0);
            double bound = scale / 2 * absolute + 1e-5 * absolute * Math.max(Math.abs(max), Math.abs(min));
            assertThat((double) logits[r][token]).as(what).isCloseTo(exact, within(bound));
        }
    }

    @Test
    void bothKernelsEstimateTheSame() {
        for (int seed = 100; seed < 110; seed++) {
            Random random = new Random(seed);
            Shape shape = Shape.random(random);
            CpuKernels scalar = SparseFixture.kernels().get(0);
            CpuKernels vector = SparseFixture.kernels().get(1);
            try (SparseFixture fixture =
                    new SparseFixture(shape, scalar, shape.pageSize() + 1, 1, 0, random).fill(random, 10)) {
                QuantizedKeys keys = fixture.filled(
                        new QuantizedKeys(fixture.config, shape.pageSize(), fixture.pages.count(), null), 0);
                float[][] expected = estimates(scalar, fixture, keys, 0, 0);
                float[][] actual = estimates(vector, fixture, keys, 0, 0);
                for (int r = 0; r < shape.group(); r++) {
                    for (int t = 0; t < shape.pageSize(); t++) {
                        assertThat(actual[r][t])
                                .as("seed %s, %s", seed, shape)
                                .isCloseTo(expected[r][t], within(2e-4f * Math.max(1, Math.abs(expected[r][t]))));
                    }
                }
            }
        }
    }

    /** A key far from zero needs a minimum below it, whatever bfloat16 rounds to. */
    @ParameterizedTest
    @ValueSource(floats = {0, 1, -1, 100.3f, -100.3f, 1002.9f, -1002.9f})
    void keysFarFromZeroAndConstantOnesKeepTheBound(float offset) {
        for (float spread : new float[] {0, 1e-3f, 1}) {
            Random random = new Random(3);
            Shape shape = new Shape(64, 1, 2, 1, 0, 8, KvType.F32);
            CpuKernels kernels = SparseFixture.kernels().get(1);
            try (SparseFixture fixture = new SparseFixture(shape, kernels, 9, 1, 0, random).fill(random, 0)) {
                float[] key = new float[64];
                for (int slot = 0; slot < 8; slot++) {
                    for (int i = 0; i < key.length; i++) {
                        key[i] = offset + spread * random.nextFloat();
                    }
                    fixture.write(0, 0, slot, key, key);
                }
                QuantizedKeys keys =
                        fixture.filled(new QuantizedKeys(fixture.config, 8, fixture.pages.count(), null), 0);
                float[][] logits = estimates(kernels, fixture, keys, 0, 0);
                for (int t = 0; t < 8; t++) {
                    assertWithin("offset " + offset + ", spread " + spread, fixture, keys, 0, 0, t, logits);
                }
            }
        }
    }
}
