package io.github.skim4j.engine.backend.cpu;

import java.util.Arrays;

/** {@link AttentionKernels} in plain Java; see {@link ScalarKernels}. */
final class ScalarAttentionKernels implements AttentionKernels {

    @Override
    public void score(
            float[] queries,
            int headDim,
            int rows,
            float[] keys,
            int from,
            int pageSize,
            float[] scores,
            int to,
            int stride) {
        for (int r = 0; r < rows; r++) {
            int row = to + r * stride;
            Arrays.fill(scores, row, row + pageSize, 0);
            for (int i = 0; i < headDim; i++) {
                float q = queries[r * headDim + i];
                int key = from + i * pageSize;
                for (int t = 0; t < pageSize; t++) {
                    scores[row + t] += q * keys[key + t];
                }
            }
        }
    }

    @Override
    public void score(
            float[] queries,
            int headDim,
            int rows,
            int[] keys,
            int from,
            int pageSize,
            float[] scores,
            int to,
            int stride) {
        for (int r = 0; r < rows; r++) {
            int row = to + r * stride;
            Arrays.fill(scores, row, row + pageSize, 0);
            for (int i = 0; i < headDim; i += 2) {
                float q0 = queries[r * headDim + i];
                float q1 = queries[r * headDim + i + 1];
                int key = from + i / 2 * pageSize;
                for (int t = 0; t < pageSize; t++) {
                    scores[row + t] += q0 * low(keys[key + t]) + q1 * high(keys[key + t]);
                }
            }
        }
    }

    @Override
    public void addWeighted(
            float[] weights,
            int from,
            int stride,
            int rows,
            float[] values,
            int at,
            int pageSize,
            float[] result,
            int headDim) {
        for (int r = 0; r < rows; r++) {
            for (int t = 0; t < pageSize; t++) {
                float weight = weights[from + r * stride + t];
                int value = at + t * headDim;
                for (int i = 0; i < headDim; i++) {
                    result[r * headDim + i] += weight * values[value + i];
                }
            }
        }
    }

    @Override
    public void addWeighted(
            float[] weights,
            int from,
            int stride,
            int rows,
            int[] values,
            int at,
            int pageSize,
            float[] result,
            int headDim) {
        addWeighted(weights, from, stride, rows, values, at, pageSize, result, headDim, 0);
    }

    /** The dimensions from {@code first} on, where a group of {@link KvPages#valueGroup} begins. */
    void addWeighted(
            float[] weights,
            int from,
            int stride,
            int rows,
            int[] values,
            int at,
            int pageSize,
            float[] result,
            int headDim,
            int first) {
        for (int r = 0; r < rows; r++) {
            for (int t = 0; t < pageSize; t++) {
                float weight = weights[from + r * stride + t];
                int group;
                for (int i = first; i < headDim; i += 2 * group) {
                    group = KvPages.valueGroup(i / 2, headDim);
                    int value = at + (t * headDim + i) / 2;
                    int to = r * headDim + i;
                    for (int l = 0; l < group; l++) {
                        result[to + l] += weight * low(values[value + l]);
                        result[to + group + l] += weight * high(values[value + l]);
                    }
                }
            }
        }
    }

    private static float low(int pair) {
        return Float.intBitsToFloat(pair << 16);
    }

    private static float high(int pair) {
        return Float.intBitsToFloat(pair & 0xffff0000);
    }

    @Override
    public float max(float[] values, int from, int count) {
        float max = Float.NEGATIVE_INFINITY;
        for (int i = from; i < from + count; i++) {
            max = Math.max(max, values[i]);
        }
        return max;
    }

    @Override
    public void expAndSum(float[] values, int from, int count, float shift, float[] sums, int to) {
        float sum = 0;
        for (int i = from; i < from + count; i++) {
            values[i] = Exp.exp(values[i] - shift);
            sum += values[i];
        }
        sums[to] += sum;
    }

    @Override
    public void scale(float[] values, int from, int count, float factor) {
        for (int i = from; i < from + count; i++) {
            values[i] *= factor;
        }
    }
}
