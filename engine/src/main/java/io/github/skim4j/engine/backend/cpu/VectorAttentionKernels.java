package io.github.skim4j.engine.backend.cpu;

import static io.github.skim4j.engine.backend.cpu.VectorKernels.F;
import static io.github.skim4j.engine.backend.cpu.VectorKernels.I;
import static io.github.skim4j.engine.backend.cpu.VectorKernels.LANES;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/** {@link AttentionKernels} on the Vector API; see {@link VectorKernels}. */
final class VectorAttentionKernels implements AttentionKernels {

    /** For what doesn't fill a vector. */
    private final ScalarAttentionKernels scalar = new ScalarAttentionKernels();

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
        if (pageSize < LANES) {
            scalar.score(queries, headDim, rows, keys, from, pageSize, scores, to, stride);
            return;
        }
        for (int t = 0; t < pageSize; t += LANES) {
            int r = 0;
            for (; rows - r > 2; r += 4) {
                score4(queries, r * headDim, headDim, keys, from + t, pageSize, scores, to + r * stride + t, stride);
            }
            if (r < rows) {
                score2(queries, r * headDim, headDim, keys, from + t, pageSize, scores, to + r * stride + t, stride);
            }
        }
    }

    private static void score4(
            float[] queries,
            int query,
            int headDim,
            float[] keys,
            int from,
            int pageSize,
            float[] scores,
            int to,
            int stride) {
        FloatVector a = FloatVector.zero(F);
        FloatVector b = FloatVector.zero(F);
        FloatVector c = FloatVector.zero(F);
        FloatVector d = FloatVector.zero(F);
        for (int i = 0; i < headDim; i++) {
            FloatVector key = FloatVector.fromArray(F, keys, from + i * pageSize);
            a = key.fma(FloatVector.broadcast(F, queries[query + i]), a);
            b = key.fma(FloatVector.broadcast(F, queries[query + i + headDim]), b);
            c = key.fma(FloatVector.broadcast(F, queries[query + i + 2 * headDim]), c);
            d = key.fma(FloatVector.broadcast(F, queries[query + i + 3 * headDim]), d);
        }
        a.intoArray(scores, to);
        b.intoArray(scores, to + stride);
        c.intoArray(scores, to + 2 * stride);
        d.intoArray(scores, to + 3 * stride);
    }

    private static void score2(
            float[] queries,
            int query,
            int headDim,
            float[] keys,
            int from,
            int pageSize,
            float[] scores,
            int to,
            int stride) {
        FloatVector a = FloatVector.zero(F);
        FloatVector b = FloatVector.zero(F);
        for (int i = 0; i < headDim; i++) {
            FloatVector key = FloatVector.fromArray(F, keys, from + i * pageSize);
            a = key.fma(FloatVector.broadcast(F, queries[query + i]), a);
            b = key.fma(FloatVector.broadcast(F, queries[query + i + headDim]), b);
        }
        a.intoArray(scores, to);
        b.intoArray(scores, to + stride);
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
        if (pageSize < LANES) {
            scalar.score(queries, headDim, rows, keys, from, pageSize, scores, to, stride);
            return;
        }
        for (int t = 0; t < pageSize; t += LANES) {
            int r = 0;
            for (; r + 4 <= rows; r += 4) {
                score4(queries, r * headDim, headDim, keys, from + t, pageSize, scores, to + r * stride + t, stride);
            }
            if (rows - r == 3) {
                score3(queries, r * headDim, headDim, keys, from + t, pageSize, scores, to + r * stride + t, stride);
            } else if (r < rows) {
                score2(queries, r * headDim, headDim, keys, from + t, pageSize, scores, to + r * stride + t, stride);
            }
        }
    }

    /** Two sums a row, of the even and the odd dimensions. */
    private static void score4(
            float[] queries,
            int query,
            int headDim,
            int[] keys,
            int from,
            int pageSize,
            float[] scores,
            int to,
            int stride) {
        FloatVector a0 = FloatVector.zero(F);
        FloatVector a1 = FloatVector.zero(F);
        FloatVector b0 = FloatVector.zero(F);
        FloatVector b1 = FloatVector.zero(F);
        FloatVector c0 = FloatVector.zero(F);
        FloatVector c1 = FloatVector.zero(F);
        FloatVector d0 = FloatVector.zero(F);
        FloatVector d1 = FloatVector.zero(F);
        for (int i = 0; i < headDim; i += 2) {
            IntVector pair = IntVector.fromArray(I, keys, from + (i >> 1) * pageSize);
            FloatVector even = pair.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
            FloatVector odd = pair.and(0xffff0000).reinterpretAsFloats();
            a0 = even.fma(FloatVector.broadcast(F, queries[query + i]), a0);
            a1 = odd.fma(FloatVector.broadcast(F, queries[query + i + 1]), a1);
            b0 = even.fma(FloatVector.broadcast(F, queries[query + i + headDim]), b0);
            b1 = odd.fma(FloatVector.broadcast(F, queries[query + i + 1 + headDim]), b1);
            c0 = even.fma(FloatVector.broadcast(F, queries[query + i + 2 * headDim]), c0);
            c1 = odd.fma(FloatVector.broadcast(F, queries[query + i + 1 + 2 * headDim]), c1);
            d0 = even.fma(FloatVector.broadcast(F, queries[query + i + 3 * headDim]), d0);
            d1 = odd.fma(FloatVector.broadcast(F, queries[query + i + 1 + 3 * headDim]), d1);
        }
        a0.add(a1).intoArray(scores, to);
        b0.add(b1).intoArray(scores, to + stride);
        c0.add(c1).intoArray(scores, to + 2 * stride);
        d0.add(d1).intoArray(scores, to + 3 * stride);
    }

    private static void score3(
            float[] queries,
            int query,
            int headDim,
            int[] keys,
            int from,
            int pageSize,
            float[] scores,
            int to,
            int stride) {
        FloatVector a0 = FloatVector.zero(F);
        FloatVector a1 = FloatVector.zero(F);
        FloatVector b0 = FloatVector.zero(F);
        FloatVector b1 = FloatVector.zero(F);
        FloatVector c0 = FloatVector.zero(F);
        FloatVector c1 = FloatVector.zero(F);
        for (int i = 0; i < headDim; i += 2) {
            IntVector pair = IntVector.fromArray(I, keys, from + (i >> 1) * pageSize);
            FloatVector even = pair.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
            FloatVector odd = pair.and(0xffff0000).reinterpretAsFloats();
            a0 = even.fma(FloatVector.broadcast(F, queries[query + i]), a0);
            a1 = odd.fma(FloatVector.broadcast(F, queries[query + i + 1]), a1);
            b0 = even.fma(FloatVector.broadcast(F, queries[query + i + headDim]), b0);
            b1 = odd.fma(FloatVector.broadcast(F, queries[query + i + 1 + headDim]), b1);
            c0 = even.fma(FloatVector.broadcast(F, queries[query + i + 2 * headDim]), c0);
            c1 = odd.fma(FloatVector.broadcast(F, queries[query + i + 1 + 2 * headDim]), c1);
        }
        a0.add(a1).intoArray(scores, to);
        b0.add(b1).intoArray(scores, to + stride);
        c0.add(c1).intoArray(scores, to + 2 * stride);
    }

    private static void score2(
            float[] queries,
            int query,
            int headDim,
            int[] keys,
            int from,
            int pageSize,
            float[] scores,
            int to,
            int stride) {
        FloatVector a0 = FloatVector.zero(F);
        FloatVector a1 = FloatVector.zero(F);
        FloatVector b0 = FloatVector.zero(F);
        FloatVector b1 = FloatVector.zero(F);
        for (int i = 0; i < headDim; i += 2) {
            IntVector pair = IntVector.fromArray(I, keys, from + (i >> 1) * pageSize);
            FloatVector even = pair.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
            FloatVector odd = pair.and(0xffff0000).reinterpretAsFloats();
            a0 = even.fma(FloatVector.broadcast(F, queries[query + i]), a0);
            a1 = odd.fma(FloatVector.broadcast(F, queries[query + i + 1]), a1);
            b0 = even.fma(FloatVector.broadcast(F, queries[query + i + headDim]), b0);
            b1 = odd.fma(FloatVector.broadcast(F, queries[query + i + 1 + headDim]), b1);
        }
        a0.add(a1).intoArray(scores, to);
        b0.add(b1).intoArray(scores, to + stride);
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
        for (int i = 0; i < headDim; i += LANES) {
            int r = 0;
            for (; rows - r > 2; r += 4) {
                addWeighted4(
                        weights, from + r * stride, stride, values, at + i, pageSize, result, r * headDim + i, headDim);
            }
            if (r < rows) {
                addWeighted2(
                        weights, from + r * stride, stride, values, at + i, pageSize, result, r * headDim + i, headDim);
            }
        }
    }

    private static void addWeighted4(
            float[] weights,
            int from,
            int stride,
            float[] values,
            int at,
            int pageSize,
            float[] result,
            int to,
            int headDim) {
        FloatVector a = FloatVector.fromArray(F, result, to);
        FloatVector b = FloatVector.fromArray(F, result, to + headDim);
        FloatVector c = FloatVector.fromArray(F, result, to + 2 * headDim);
        FloatVector d = FloatVector.fromArray(F, result, to + 3 * headDim);
        for (int t = 0; t < pageSize; t++) {
            FloatVector value = FloatVector.fromArray(F, values, at + t * headDim);
            a = value.fma(FloatVector.broadcast(F, weights[from + t]), a);
            b = value.fma(FloatVector.broadcast(F, weights[from + t + stride]), b);
            c = value.fma(FloatVector.broadcast(F, weights[from + t + 2 * stride]), c);
            d = value.fma(FloatVector.broadcast(F, weights[from + t + 3 * stride]), d);
        }
        a.intoArray(result, to);
        b.intoArray(result, to + headDim);
        c.intoArray(result, to + 2 * headDim);
        d.intoArray(result, to + 3 * headDim);
    }

    private static void addWeighted2(
            float[] weights,
            int from,
            int stride,
            float[] values,
            int at,
            int pageSize,
            float[] result,
            int to,
            int headDim) {
        FloatVector a = FloatVector.fromArray(F, result, to);
        FloatVector b = FloatVector.fromArray(F, result, to + headDim);
        for (int t = 0; t < pageSize; t++) {
            FloatVector value = FloatVector.fromArray(F, values, at + t * headDim);
            a = value.fma(FloatVector.broadcast(F, weights[from + t]), a);
            b = value.fma(FloatVector.broadcast(F, weights[from + t + stride]), b);
        }
        a.intoArray(result, to);
        b.intoArray(result, to + headDim);
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
        int group;
        for (int i = 0; i < headDim; i += 2 * group) {
            group = KvPages.valueGroup(i / 2, headDim);
            if (group < LANES) {
                scalar.addWeighted(weights, from, stride, rows, values, at, pageSize, result, headDim, i);
                return;
            }
            for (int l = 0; l < group; l += LANES) {
                int value = at + i / 2 + l;
                int r = 0;
                for (; r + 4 <= rows; r += 4) {
                    int to = r * headDim + i + l;
                    addWeighted4(
                            weights, from + r * stride, stride, values, value, pageSize, result, to, group, headDim);
                }
                if (rows - r == 3) {
                    int to = r * headDim + i + l;
                    addWeighted3(
                            weights, from + r * stride, stride, values, value, pageSize, result, to, group, headDim);
                } else if (r < rows) {
                    int to = r * headDim + i + l;
                    addWeighted2(
                            weights, from + r * stride, stride, values, value, pageSize, result, to, group, headDim);
                }
            }
        }
    }

    private static void addWeighted4(
            float[] weights,
            int from,
            int stride,
            int[] values,
            int at,
            int pageSize,
            float[] result,
            int to,
            int group,
            int headDim) {
        FloatVector a0 = FloatVector.fromArray(F, result, to);
        FloatVector a1 = FloatVector.fromArray(F, result, to + group);
        FloatVector b0 = FloatVector.fromArray(F, result, to + headDim);
        FloatVector b1 = FloatVector.fromArray(F, result, to + headDim + group);
        FloatVector c0 = FloatVector.fromArray(F, result, to + 2 * headDim);
        FloatVector c1 = FloatVector.fromArray(F, result, to + 2 * headDim + group);
        FloatVector d0 = FloatVector.fromArray(F, result, to + 3 * headDim);
        FloatVector d1 = FloatVector.fromArray(F, result, to + 3 * headDim + group);
        for (int t = 0; t < pageSize; t++) {
            IntVector pair = IntVector.fromArray(I, values, at + t * (headDim >> 1));
            FloatVector v0 = pair.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
            FloatVector v1 = pair.and(0xffff0000).reinterpretAsFloats();
            FloatVector weight = FloatVector.broadcast(F, weights[from + t]);
            a0 = v0.fma(weight, a0);
            a1 = v1.fma(weight, a1);
            weight = FloatVector.broadcast(F, weights[from + t + stride]);
            b0 = v0.fma(weight, b0);
            b1 = v1.fma(weight, b1);
            weight = FloatVector.broadcast(F, weights[from + t + 2 * stride]);
            c0 = v0.fma(weight, c0);
            c1 = v1.fma(weight, c1);
            weight = FloatVector.broadcast(F, weights[from + t + 3 * stride]);
            d0 = v0.fma(weight, d0);
            d1 = v1.fma(weight, d1);
        }
        a0.intoArray(result, to);
        a1.intoArray(result, to + group);
        b0.intoArray(result, to + headDim);
        b1.intoArray(result, to + headDim + group);
        c0.intoArray(result, to + 2 * headDim);
        c1.intoArray(result, to + 2 * headDim + group);
        d0.intoArray(result, to + 3 * headDim);
        d1.intoArray(result, to + 3 * headDim + group);
    }

    private static void addWeighted3(
            float[] weights,
            int from,
            int stride,
            int[] values,
            int at,
            int pageSize,
            float[] result,
            int to,
            int group,
            int headDim) {
        FloatVector a0 = FloatVector.fromArray(F, result, to);
        FloatVector a1 = FloatVector.fromArray(F, result, to + group);
        FloatVector b0 = FloatVector.fromArray(F, result, to + headDim);
        FloatVector b1 = FloatVector.fromArray(F, result, to + headDim + group);
        FloatVector c0 = FloatVector.fromArray(F, result, to + 2 * headDim);
        FloatVector c1 = FloatVector.fromArray(F, result, to + 2 * headDim + group);
        for (int t = 0; t < pageSize; t++) {
            IntVector pair = IntVector.fromArray(I, values, at + t * (headDim >> 1));
            FloatVector v0 = pair.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
            FloatVector v1 = pair.and(0xffff0000).reinterpretAsFloats();
            FloatVector weight = FloatVector.broadcast(F, weights[from + t]);
            a0 = v0.fma(weight, a0);
            a1 = v1.fma(weight, a1);
            weight = FloatVector.broadcast(F, weights[from + t + stride]);
            b0 = v0.fma(weight, b0);
            b1 = v1.fma(weight, b1);
            weight = FloatVector.broadcast(F, weights[from + t + 2 * stride]);
            c0 = v0.fma(weight, c0);
            c1 = v1.fma(weight, c1);
        }
        a0.intoArray(result, to);
        a1.intoArray(result, to + group);
        b0.intoArray(result, to + headDim);
        b1.intoArray(result, to + headDim + group);
        c0.intoArray(result, to + 2 * headDim);
        c1.intoArray(result, to + 2 * headDim + group);
    }

    private static void addWeighted2(
            float[] weights,
            int from,
            int stride,
            int[] values,
            int at,
            int pageSize,
            float[] result,
            int to,
            int group,
            int headDim) {
        FloatVector a0 = FloatVector.fromArray(F, result, to);
        FloatVector a1 = FloatVector.fromArray(F, result, to + group);
        FloatVector b0 = FloatVector.fromArray(F, result, to + headDim);
        FloatVector b1 = FloatVector.fromArray(F, result, to + headDim + group);
        for (int t = 0; t < pageSize; t++) {
            IntVector pair = IntVector.fromArray(I, values, at + t * (headDim >> 1));
            FloatVector v0 = pair.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
            FloatVector v1 = pair.and(0xffff0000).reinterpretAsFloats();
            FloatVector weight = FloatVector.broadcast(F, weights[from + t]);
            a0 = v0.fma(weight, a0);
            a1 = v1.fma(weight, a1);
            weight = FloatVector.broadcast(F, weights[from + t + stride]);
            b0 = v0.fma(weight, b0);
            b1 = v1.fma(weight, b1);
        }
        a0.intoArray(result, to);
        a1.intoArray(result, to + group);
        b0.intoArray(result, to + headDim);
        b1.intoArray(result, to + headDim + group);
    }

    @Override
    public float max(float[] values, int from, int count) {
        int whole = count & -LANES;
        float max = scalar.max(values, from + whole, count - whole);
        if (whole == 0) {
            return max;
        }
        FloatVector a = FloatVector.fromArray(F, values, from);
        FloatVector b = a;
        FloatVector c = a;
        FloatVector d = a;
        int i = LANES;
        for (; i + 4 * LANES <= whole; i += 4 * LANES) {
            a = VectorKernels.greater(a, FloatVector.fromArray(F, values, from + i));
            b = VectorKernels.greater(b, FloatVector.fromArray(F, values, from + i + LANES));
            c = VectorKernels.greater(c, FloatVector.fromArray(F, values, from + i + 2 * LANES));
            d = VectorKernels.greater(d, FloatVector.fromArray(F, values, from + i + 3 * LANES));
        }
        for (; i < whole; i += LANES) {
            a = VectorKernels.greater(a, FloatVector.fromArray(F, values, from + i));
        }
        return Math.max(
                max,
                VectorKernels.greater(VectorKernels.greater(a, b), VectorKernels.greater(c, d))
                        .reduceLanes(VectorOperators.MAX));
    }

    @Override
    public void expAndSum(float[] values, int from, int count, float shift, float[] sums, int to) {
        FloatVector sum = FloatVector.fromArray(F, sums, to);
        int whole = from + (count & -LANES);
        for (int i = from; i < whole; i += LANES) {
            FloatVector e =
                    VectorKernels.exp(FloatVector.fromArray(F, values, i).sub(shift));
            e.intoArray(values, i);
            sum = sum.add(e);
        }
        sum.intoArray(sums, to);
        scalar.expAndSum(values, whole, from + count - whole, shift, sums, to);
    }

    @Override
    public void scale(float[] values, int from, int count, float factor) {
        int i = from;
        for (; i + LANES <= from + count; i += LANES) {
            FloatVector.fromArray(F, values, i).mul(factor).intoArray(values, i);
        }
        for (; i < from + count; i++) {
            values[i] *= factor;
        }
    }
}
