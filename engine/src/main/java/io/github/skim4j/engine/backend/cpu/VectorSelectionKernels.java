package io.github.skim4j.engine.backend.cpu;

import static io.github.skim4j.engine.backend.cpu.VectorKernels.F;
import static io.github.skim4j.engine.backend.cpu.VectorKernels.I;
import static io.github.skim4j.engine.backend.cpu.VectorKernels.LANES;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/** Selection on the Vector API. */
final class VectorSelectionKernels implements SelectionKernels {

    @Override
    public void bounds(
            float[] queries, int rows, int headDim, int[] pairs, int from, float[] scores, int to, int stride) {
        for (int r = 0; r < rows; r++) {
            scores[to + r * stride] = bounds(queries, r * headDim, headDim, pairs, from);
        }
    }

    private static float bounds(float[] queries, int query, int headDim, int[] pairs, int from) {
        FloatVector sum = FloatVector.zero(F);
        for (int i = 0; i < headDim; i += LANES) {
            IntVector pair = IntVector.fromArray(I, pairs, from + i);
            FloatVector q = FloatVector.fromArray(F, queries, query + i);
            FloatVector max = q.mul(pair.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats());
            FloatVector min = q.mul(pair.and(0xffff0000).reinterpretAsFloats());
            sum = sum.add(max.max(min));
        }
        return sum.reduceLanes(VectorOperators.ADD);
    }

    @Override
    public void moments(
            float[] queries, int rows, int headDim, int[] pairs, int from, float[] scores, int to, int stride) {
        for (int r = 0; r < rows; r++) {
            scores[to + r * stride] = moments(queries, r * headDim, headDim, pairs, from);
        }
    }

    private static float moments(float[] queries, int query, int headDim, int[] pairs, int from) {
        FloatVector mean = FloatVector.zero(F);
        FloatVector variance = FloatVector.zero(F);
        for (int i = 0; i < headDim; i += LANES) {
            IntVector pair = IntVector.fromArray(I, pairs, from + i);
            FloatVector q = FloatVector.fromArray(F, queries, query + i);
            mean = pair.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(q, mean);
            variance = pair.and(0xffff0000).reinterpretAsFloats().fma(q.mul(q), variance);
        }
        return mean.reduceLanes(VectorOperators.ADD)
                + (float) Math.sqrt(Math.max(0, variance.reduceLanes(VectorOperators.ADD)));
    }

    @Override
    public void quantized(
            float[] queries,
            int at,
            int rows,
            int channels,
            int[] words,
            int from,
            int pageSize,
            float[] scores,
            int to,
            int stride) {
        for (int t = 0; t < pageSize; t += LANES) {
            for (int r = 0; r < rows; r += 2) {
                int query = at + r * channels;
                quantized2(queries, query, channels, r, words, from + t, pageSize, scores, to + r * stride + t, stride);
            }
        }
    }

    private static void quantized2(
            float[] queries,
            int query,
            int channels,
            int row,
            int[] words,
            int from,
            int pageSize,
            float[] scores,
            int to,
            int stride) {
        FloatVector a = FloatVector.zero(F);
        FloatVector b = FloatVector.zero(F);
        int next = query + channels;
        for (int c = 0; c < channels; c += 8) {
            IntVector word = IntVector.fromArray(I, words, from + (c >> 3) * pageSize);
            for (int i = 0; i < 8; i++) {
                FloatVector level = (FloatVector) word.and(15).convertShape(VectorOperators.I2F, F, 0);
                a = level.fma(FloatVector.broadcast(F, queries[query + c + i]), a);
                b = level.fma(FloatVector.broadcast(F, queries[next + c + i]), b);
                word = word.lanewise(VectorOperators.LSHR, 4);
            }
        }
        IntVector pair = IntVector.fromArray(I, words, from + (channels >> 3) * pageSize);
        FloatVector scale = pair.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
        FloatVector min = pair.and(0xffff0000).reinterpretAsFloats();
        a.fma(scale, min.mul(queries[row])).intoArray(scores, to);
        b.fma(scale, min.mul(queries[row + 1])).intoArray(scores, to + stride);
    }

    @Override
    public void expSums(float[] logits, int from, int pageSize, int pages, float shift, float[] sums, int to) {
        float[] lanes = new float[LANES];
        for (int p = 0; p < pages; p++) {
            FloatVector sum = FloatVector.zero(F);
            for (int i = from + p * pageSize; i < from + (p + 1) * pageSize; i += LANES) {
                sum = sum.add(
                        VectorKernels.exp(FloatVector.fromArray(F, logits, i).sub(shift)));
            }
            sum.intoArray(lanes, 0);
            float total = 0;
            for (float lane : lanes) {
                total += lane;
            }
            sums[to + p] = total;
        }
    }
}
