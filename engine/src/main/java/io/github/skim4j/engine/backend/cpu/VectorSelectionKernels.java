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
    public void unpack(int[] words, int from, int channels, int pageSize, float[] levels) {
        for (int c = 0; c < channels; c += 8) {
            for (int t = 0; t < pageSize; t += LANES) {
                unpack(words, from + (c >> 3) * pageSize + t, levels, c * pageSize + t, pageSize);
            }
        }
    }

    private static void unpack(int[] words, int from, float[] levels, int to, int pageSize) {
        IntVector word = IntVector.fromArray(I, words, from);
        for (int i = 0; i < 8; i++) {
            ((FloatVector) word.lanewise(VectorOperators.LSHR, 4 * i).and(15).convertShape(VectorOperators.I2F, F, 0))
                    .intoArray(levels, to + i * pageSize);
        }
    }

    @Override
    public void scale(int[] pairs, int from, int pageSize, float sum, float[] scores, int to) {
        for (int t = 0; t < pageSize; t += LANES) {
            IntVector pair = IntVector.fromArray(I, pairs, from + t);
            FloatVector scale = pair.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
            FloatVector min = pair.and(0xffff0000).reinterpretAsFloats();
            FloatVector.fromArray(F, scores, to + t).fma(scale, min.mul(sum)).intoArray(scores, to + t);
        }
    }

    @Override
    public void signLogits(
            int[] counts,
            float[] factors,
            int count,
            float offset,
            float step,
            float minusSum,
            float[] logits,
            int to) {
        for (int t = 0; t < count; t += LANES) {
            FloatVector sum = (FloatVector) IntVector.fromArray(I, counts, t).convertShape(VectorOperators.I2F, F, 0);
            sum = sum.fma(FloatVector.broadcast(F, step), FloatVector.broadcast(F, minusSum));
            sum.fma(FloatVector.fromArray(F, factors, t), FloatVector.broadcast(F, offset))
                    .intoArray(logits, to + t);
        }
    }

    @Override
    public void roughExpSums(float[] logits, int from, int pageSize, int pages, float shift, float[] sums, int to) {
        float[] lanes = new float[LANES];
        FloatVector factor = FloatVector.broadcast(F, RoughExp.FACTOR);
        FloatVector addend = FloatVector.broadcast(F, RoughExp.addend(shift));
        FloatVector zero = FloatVector.broadcast(F, RoughExp.ZERO);
        for (int p = 0; p < pages; p++) {
            FloatVector sum = FloatVector.zero(F);
            for (int i = from + p * pageSize; i < from + (p + 1) * pageSize; i += LANES) {
                FloatVector fixed =
                        FloatVector.fromArray(F, logits, i).fma(factor, addend).max(zero);
                sum = sum.add(fixed.reinterpretAsInts()
                        .lanewise(VectorOperators.LSHL, RoughExp.SHIFT)
                        .reinterpretAsFloats());
            }
            sum.intoArray(lanes, 0);
            float total = 0;
            for (float lane : lanes) {
                total += lane;
            }
            sums[to + p] = total;
        }
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
