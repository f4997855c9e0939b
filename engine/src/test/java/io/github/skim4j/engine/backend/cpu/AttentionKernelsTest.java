package io.github.skim4j.engine.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.skim4j.engine.kv.KvCacheConfig.KvType;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Both implementations on pages of every size and head size, of which some fill no whole vector, against plain sums. */
class AttentionKernelsTest {

    private static final int KV_HEADS = 2;

    @ParameterizedTest
    @ValueSource(ints = {16, 48, 64, 80, 96, 112, 128})
    void scoresAndWeightedValuesAreSumsOverKeysAndValues(int headDim) {
        Random random = new Random(headDim);
        for (KvType type : new KvType[] {KvType.BF16, KvType.F32}) {
            for (int pageSize : new int[] {8, 16, 32, 64}) {
                KvPages pages = pages(random, headDim, pageSize, type);
                for (CpuKernels kernels : SparseFixture.kernels()) {
                    for (int rows = 1; rows <= 8; rows++) {
                        String what = kernels.name() + ", " + type + ", pages of " + pageSize + ", " + rows + " rows";
                        assertScores(what, kernels.attention(), pages, headDim, rows, random);
                        assertWeightedValues(what, kernels.attention(), pages, headDim, rows, random);
                    }
                }
            }
        }
    }

    private static KvPages pages(Random random, int headDim, int pageSize, KvType type) {
        SparseFixture.Shape shape = new SparseFixture.Shape(headDim, KV_HEADS, 1, 1, 0, pageSize, type);
        KvPages pages = new KvPages(shape.config(), pageSize, type, 1);
        pages.clear(0);
        for (int t = 0; t < pageSize; t++) {
            for (int head = 0; head < KV_HEADS; head++) {
                pages.write(0, 0, head, t, floats(random, headDim), 0, floats(random, headDim), 0);
            }
        }
        return pages;
    }

    private static float[] floats(Random random, int size) {
        float[] floats = new float[size];
        for (int i = 0; i < size; i++) {
            floats[i] = (float) random.nextGaussian();
        }
        return floats;
    }

    private static void assertScores(
            String what, AttentionKernels kernels, KvPages pages, int headDim, int rows, Random random) {
        int stride = pages.pageSize() + 3;
        float[] queries = floats(random, Attend.even(rows) * headDim);
        float[] scores = new float[Attend.even(rows) * stride + 1];
        pages.score(kernels, 0, 0, 1, queries, rows, scores, 1, stride);
        float[] key = new float[headDim];
        for (int t = 0; t < pages.pageSize(); t++) {
            pages.key(0, 0, 1, t, key, 0);
            for (int r = 0; r < rows; r++) {
                double sum = 0;
                for (int i = 0; i < headDim; i++) {
                    sum += queries[r * headDim + i] * key[i];
                }
                assertThat((double) scores[1 + r * stride + t]).as(what).isCloseTo(sum, within(1e-4));
            }
        }
    }

    /** Added to what is there. */
    private static void assertWeightedValues(
            String what, AttentionKernels kernels, KvPages pages, int headDim, int rows, Random random) {
        int stride = pages.pageSize() + 3;
        float[] weights = floats(random, Attend.even(rows) * stride + 1);
        float[] before = floats(random, Attend.even(rows) * headDim);
        float[] result = before.clone();
        pages.addWeighted(kernels, 0, 0, 1, weights, 1, stride, rows, result);
        float[] value = new float[headDim];
        for (int r = 0; r < rows; r++) {
            double[] sums = new double[headDim];
            for (int t = 0; t < pages.pageSize(); t++) {
                pages.value(0, 0, 1, t, value, 0);
                for (int i = 0; i < headDim; i++) {
                    sums[i] += weights[1 + r * stride + t] * value[i];
                }
            }
            for (int i = 0; i < headDim; i++) {
                double expected = before[r * headDim + i] + sums[i];
                assertThat((double) result[r * headDim + i]).as(what).isCloseTo(expected, within(1e-4));
            }
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {8, 16, 24, 40, 64, 72, 200})
    void softmaxReadsEveryValueOfARow(int count) {
        Random random = new Random(count);
        float[] values = floats(random, count + 7);
        for (int best = 0; best < count; best++) {
            float[] peaked = values.clone();
            peaked[5 + best] = 9;
            peaked[0] = 99;
            for (CpuKernels kernels : SparseFixture.kernels()) {
                assertThat(kernels.attention().max(peaked, 5, count))
                        .as(kernels.name())
                        .isEqualTo(9);
            }
        }
        double sum = 0;
        for (int i = 5; i < 5 + count; i++) {
            sum += Math.exp(values[i] - 2);
        }
        for (CpuKernels kernels : SparseFixture.kernels()) {
            float[] weights = values.clone();
            float[] sums = new float[1 + AttentionKernels.SUMS];
            sums[0] = 7;
            sums[1] = 3;
            kernels.attention().expAndSum(weights, 5, count, 2, sums, 1);
            assertThat(sums[0]).as(kernels.name()).isEqualTo(7);
            double total = -3;
            for (int i = 1; i < sums.length; i++) {
                total += sums[i];
            }
            assertThat(total).as(kernels.name()).isCloseTo(sum, within(1e-4 * sum));
            for (int i = 0; i < weights.length; i++) {
                double expected = i < 5 || i >= 5 + count ? values[i] : Math.exp(values[i] - 2);
                assertThat((double) weights[i])
                        .as("%s at %s", kernels.name(), i)
                        .isCloseTo(expected, within(1e-5));
            }
        }
    }
}
