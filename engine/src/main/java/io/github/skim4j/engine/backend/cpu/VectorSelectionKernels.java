package io.github.skim4j.engine.backend.cpu;

import static io.github.skim4j.engine.backend.cpu.VectorKernels.F;
import static io.github.skim4j.engine.backend.cpu.VectorKernels.I;
import static io.github.skim4j.engine.backend.cpu.VectorKernels.LANES;
import static io.github.skim4j.engine.backend.cpu.VectorKernels.S;

import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators;

/** Selection on the Vector API. */
final class VectorSelectionKernels implements SelectionKernels {

    private final SelectionKernels scalar = new ScalarSelectionKernels();

    @Override
    public void statistics(
            float[] weights,
            int rows,
            int headDim,
            int[] pairs,
            int from,
            boolean root,
            float[] scores,
            int to,
            int stride) {
        for (int p = 0; p < PageStatistics.PANEL; p += 2 * LANES) {
            for (int r = 0; r < rows; r += 4) {
                int low = r * headDim;
                int high = (rows + r) * headDim;
                int at = to + p + r * stride;
                if (rows - r > 2) {
                    statistics4(weights, low, high, headDim, pairs, from + p, root, scores, at, stride);
                } else {
                    statistics2(weights, low, high, headDim, pairs, from + p, root, scores, at, stride);
                }
            }
        }
    }

    /** Two vectors of pages, so that a weight is spread over lanes once for both. */
    private static void statistics4(
            float[] weights,
            int low,
            int high,
            int headDim,
            int[] pairs,
            int from,
            boolean root,
            float[] scores,
            int to,
            int stride) {
        FloatVector a0 = FloatVector.zero(F);
        FloatVector a0Upper = FloatVector.zero(F);
        FloatVector a1 = FloatVector.zero(F);
        FloatVector a1Upper = FloatVector.zero(F);
        FloatVector b0 = FloatVector.zero(F);
        FloatVector b0Upper = FloatVector.zero(F);
        FloatVector b1 = FloatVector.zero(F);
        FloatVector b1Upper = FloatVector.zero(F);
        FloatVector c0 = FloatVector.zero(F);
        FloatVector c0Upper = FloatVector.zero(F);
        FloatVector c1 = FloatVector.zero(F);
        FloatVector c1Upper = FloatVector.zero(F);
        FloatVector d0 = FloatVector.zero(F);
        FloatVector d0Upper = FloatVector.zero(F);
        FloatVector d1 = FloatVector.zero(F);
        FloatVector d1Upper = FloatVector.zero(F);
        for (int i = 0; i < headDim; i++) {
            IntVector pair = IntVector.fromArray(I, pairs, from + i * PageStatistics.PANEL);
            FloatVector low0 = pair.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
            FloatVector high0 = pair.and(0xffff0000).reinterpretAsFloats();
            pair = IntVector.fromArray(I, pairs, from + i * PageStatistics.PANEL + LANES);
            FloatVector low1 = pair.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
            FloatVector high1 = pair.and(0xffff0000).reinterpretAsFloats();
            FloatVector weight = FloatVector.broadcast(F, weights[low + i]);
            a0 = low0.fma(weight, a0);
            a1 = low1.fma(weight, a1);
            weight = FloatVector.broadcast(F, weights[high + i]);
            a0Upper = high0.fma(weight, a0Upper);
            a1Upper = high1.fma(weight, a1Upper);
            weight = FloatVector.broadcast(F, weights[low + i + headDim]);
            b0 = low0.fma(weight, b0);
            b1 = low1.fma(weight, b1);
            weight = FloatVector.broadcast(F, weights[high + i + headDim]);
            b0Upper = high0.fma(weight, b0Upper);
            b1Upper = high1.fma(weight, b1Upper);
            weight = FloatVector.broadcast(F, weights[low + i + 2 * headDim]);
            c0 = low0.fma(weight, c0);
            c1 = low1.fma(weight, c1);
            weight = FloatVector.broadcast(F, weights[high + i + 2 * headDim]);
            c0Upper = high0.fma(weight, c0Upper);
            c1Upper = high1.fma(weight, c1Upper);
            weight = FloatVector.broadcast(F, weights[low + i + 3 * headDim]);
            d0 = low0.fma(weight, d0);
            d1 = low1.fma(weight, d1);
            weight = FloatVector.broadcast(F, weights[high + i + 3 * headDim]);
            d0Upper = high0.fma(weight, d0Upper);
            d1Upper = high1.fma(weight, d1Upper);
        }
        if (root) {
            a0Upper = a0Upper.sqrt();
            a1Upper = a1Upper.sqrt();
            b0Upper = b0Upper.sqrt();
            b1Upper = b1Upper.sqrt();
            c0Upper = c0Upper.sqrt();
            c1Upper = c1Upper.sqrt();
            d0Upper = d0Upper.sqrt();
            d1Upper = d1Upper.sqrt();
        }
        a0.add(a0Upper).intoArray(scores, to);
        a1.add(a1Upper).intoArray(scores, to + LANES);
        b0.add(b0Upper).intoArray(scores, to + stride);
        b1.add(b1Upper).intoArray(scores, to + stride + LANES);
        c0.add(c0Upper).intoArray(scores, to + 2 * stride);
        c1.add(c1Upper).intoArray(scores, to + 2 * stride + LANES);
        d0.add(d0Upper).intoArray(scores, to + 3 * stride);
        d1.add(d1Upper).intoArray(scores, to + 3 * stride + LANES);
    }

    private static void statistics2(
            float[] weights,
            int low,
            int high,
            int headDim,
            int[] pairs,
            int from,
            boolean root,
            float[] scores,
            int to,
            int stride) {
        FloatVector a0 = FloatVector.zero(F);
        FloatVector a0Upper = FloatVector.zero(F);
        FloatVector a1 = FloatVector.zero(F);
        FloatVector a1Upper = FloatVector.zero(F);
        FloatVector b0 = FloatVector.zero(F);
        FloatVector b0Upper = FloatVector.zero(F);
        FloatVector b1 = FloatVector.zero(F);
        FloatVector b1Upper = FloatVector.zero(F);
        for (int i = 0; i < headDim; i++) {
            IntVector pair = IntVector.fromArray(I, pairs, from + i * PageStatistics.PANEL);
            FloatVector low0 = pair.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
            FloatVector high0 = pair.and(0xffff0000).reinterpretAsFloats();
            pair = IntVector.fromArray(I, pairs, from + i * PageStatistics.PANEL + LANES);
            FloatVector low1 = pair.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
            FloatVector high1 = pair.and(0xffff0000).reinterpretAsFloats();
            FloatVector weight = FloatVector.broadcast(F, weights[low + i]);
            a0 = low0.fma(weight, a0);
            a1 = low1.fma(weight, a1);
            weight = FloatVector.broadcast(F, weights[high + i]);
            a0Upper = high0.fma(weight, a0Upper);
            a1Upper = high1.fma(weight, a1Upper);
            weight = FloatVector.broadcast(F, weights[low + i + headDim]);
            b0 = low0.fma(weight, b0);
            b1 = low1.fma(weight, b1);
            weight = FloatVector.broadcast(F, weights[high + i + headDim]);
            b0Upper = high0.fma(weight, b0Upper);
            b1Upper = high1.fma(weight, b1Upper);
        }
        if (root) {
            a0Upper = a0Upper.sqrt();
            a1Upper = a1Upper.sqrt();
            b0Upper = b0Upper.sqrt();
            b1Upper = b1Upper.sqrt();
        }
        a0.add(a0Upper).intoArray(scores, to);
        a1.add(a1Upper).intoArray(scores, to + LANES);
        b0.add(b0Upper).intoArray(scores, to + stride);
        b1.add(b1Upper).intoArray(scores, to + stride + LANES);
    }

    @Override
    public void statistics8(
            float[] weights,
            int rows,
            int headDim,
            int[] words,
            int from,
            boolean root,
            float[] scores,
            int to,
            int stride) {
        for (int r = 0; r < rows; r += 2) {
            for (int p = 0; p < PageStatistics.PANEL; p += 2 * LANES) {
                int low = r * headDim;
                int high = (rows + r) * headDim;
                statistics8(weights, low, high, headDim, words, from + p, root, scores, to + p + r * stride, stride);
            }
        }
    }

    /** Two vectors of statistics. A method that unpacks a vector would not be inlined here, and what it returned would lie on the heap. */
    private static void statistics8(
            float[] weights,
            int low,
            int high,
            int headDim,
            int[] words,
            int from,
            boolean root,
            float[] scores,
            int to,
            int stride) {
        FloatVector a0 = FloatVector.zero(F);
        FloatVector a0Upper = FloatVector.zero(F);
        FloatVector a1 = FloatVector.zero(F);
        FloatVector a1Upper = FloatVector.zero(F);
        FloatVector b0 = FloatVector.zero(F);
        FloatVector b0Upper = FloatVector.zero(F);
        FloatVector b1 = FloatVector.zero(F);
        FloatVector b1Upper = FloatVector.zero(F);
        for (int i = 0; i < headDim; i += 2) {
            IntVector word0 = IntVector.fromArray(I, words, from + (i >> 1) * PageStatistics.PANEL);
            IntVector word1 = IntVector.fromArray(I, words, from + (i >> 1) * PageStatistics.PANEL + LANES);
            FloatVector low0 = word0.lanewise(VectorOperators.LSHL, 24)
                    .lanewise(VectorOperators.ASHR, 4)
                    .and(Float8.FLOAT_BITS)
                    .reinterpretAsFloats();
            FloatVector high0 = word0.lanewise(VectorOperators.LSHL, 16)
                    .lanewise(VectorOperators.ASHR, 4)
                    .and(Float8.FLOAT_BITS)
                    .reinterpretAsFloats();
            FloatVector low1 = word1.lanewise(VectorOperators.LSHL, 24)
                    .lanewise(VectorOperators.ASHR, 4)
                    .and(Float8.FLOAT_BITS)
                    .reinterpretAsFloats();
            FloatVector high1 = word1.lanewise(VectorOperators.LSHL, 16)
                    .lanewise(VectorOperators.ASHR, 4)
                    .and(Float8.FLOAT_BITS)
                    .reinterpretAsFloats();
            FloatVector weight = FloatVector.broadcast(F, weights[low + i]);
            a0 = low0.fma(weight, a0);
            a1 = low1.fma(weight, a1);
            weight = FloatVector.broadcast(F, weights[high + i]);
            a0Upper = high0.fma(weight, a0Upper);
            a1Upper = high1.fma(weight, a1Upper);
            weight = FloatVector.broadcast(F, weights[low + i + headDim]);
            b0 = low0.fma(weight, b0);
            b1 = low1.fma(weight, b1);
            weight = FloatVector.broadcast(F, weights[high + i + headDim]);
            b0Upper = high0.fma(weight, b0Upper);
            b1Upper = high1.fma(weight, b1Upper);
            low0 = word0.lanewise(VectorOperators.LSHL, 8)
                    .lanewise(VectorOperators.ASHR, 4)
                    .and(Float8.FLOAT_BITS)
                    .reinterpretAsFloats();
            high0 = word0.lanewise(VectorOperators.ASHR, 4)
                    .and(Float8.FLOAT_BITS)
                    .reinterpretAsFloats();
            low1 = word1.lanewise(VectorOperators.LSHL, 8)
                    .lanewise(VectorOperators.ASHR, 4)
                    .and(Float8.FLOAT_BITS)
                    .reinterpretAsFloats();
            high1 = word1.lanewise(VectorOperators.ASHR, 4)
                    .and(Float8.FLOAT_BITS)
                    .reinterpretAsFloats();
            weight = FloatVector.broadcast(F, weights[low + i + 1]);
            a0 = low0.fma(weight, a0);
            a1 = low1.fma(weight, a1);
            weight = FloatVector.broadcast(F, weights[high + i + 1]);
            a0Upper = high0.fma(weight, a0Upper);
            a1Upper = high1.fma(weight, a1Upper);
            weight = FloatVector.broadcast(F, weights[low + i + 1 + headDim]);
            b0 = low0.fma(weight, b0);
            b1 = low1.fma(weight, b1);
            weight = FloatVector.broadcast(F, weights[high + i + 1 + headDim]);
            b0Upper = high0.fma(weight, b0Upper);
            b1Upper = high1.fma(weight, b1Upper);
        }
        int scales = from + headDim / 2 * PageStatistics.PANEL;
        int upperScales = scales + PageStatistics.PANEL;
        a0 = a0.mul(Float8.ROOT_OF_BIAS)
                .mul(IntVector.fromArray(I, words, scales).reinterpretAsFloats());
        a0Upper = a0Upper.mul(Float8.ROOT_OF_BIAS)
                .mul(IntVector.fromArray(I, words, upperScales).reinterpretAsFloats());
        a1 = a1.mul(Float8.ROOT_OF_BIAS)
                .mul(IntVector.fromArray(I, words, scales + LANES).reinterpretAsFloats());
        a1Upper = a1Upper.mul(Float8.ROOT_OF_BIAS)
                .mul(IntVector.fromArray(I, words, upperScales + LANES).reinterpretAsFloats());
        b0 = b0.mul(Float8.ROOT_OF_BIAS)
                .mul(IntVector.fromArray(I, words, scales).reinterpretAsFloats());
        b0Upper = b0Upper.mul(Float8.ROOT_OF_BIAS)
                .mul(IntVector.fromArray(I, words, upperScales).reinterpretAsFloats());
        b1 = b1.mul(Float8.ROOT_OF_BIAS)
                .mul(IntVector.fromArray(I, words, scales + LANES).reinterpretAsFloats());
        b1Upper = b1Upper.mul(Float8.ROOT_OF_BIAS)
                .mul(IntVector.fromArray(I, words, upperScales + LANES).reinterpretAsFloats());
        if (root) {
            a0Upper = a0Upper.sqrt();
            a1Upper = a1Upper.sqrt();
            b0Upper = b0Upper.sqrt();
            b1Upper = b1Upper.sqrt();
        }
        a0.add(a0Upper).intoArray(scores, to);
        a1.add(a1Upper).intoArray(scores, to + LANES);
        b0.add(b0Upper).intoArray(scores, to + stride);
        b1.add(b1Upper).intoArray(scores, to + stride + LANES);
    }

    @Override
    public void mergeRows(
            float[] scores,
            int at,
            int stride,
            int rows,
            int count,
            float[] terms,
            int factor,
            int addend,
            int termStride) {
        for (int i = at; i < at + count; i += LANES) {
            FloatVector best =
                    FloatVector.fromArray(F, scores, i).mul(terms[factor]).add(terms[addend]);
            for (int r = 1; r < rows; r++) {
                FloatVector score = FloatVector.fromArray(F, scores, i + r * stride)
                        .mul(terms[factor + r * termStride])
                        .add(terms[addend + r * termStride]);
                best = VectorKernels.greater(best, score);
            }
            best.intoArray(scores, i);
        }
    }

    @Override
    public void quantized(
            float[] queries,
            int channels,
            int rows,
            int[] words,
            int from,
            int pageSize,
            float[] scores,
            int to,
            int stride) {
        if (pageSize < LANES) {
            scalar.quantized(queries, channels, rows, words, from, pageSize, scores, to, stride);
            return;
        }
        int pairs = from + channels / 8 * pageSize;
        int sums = Attend.even(rows) * channels;
        for (int r = 0; r < rows; r += 4) {
            for (int t = 0; t < pageSize; t += LANES) {
                int at = to + t + r * stride;
                if (rows - r > 2) {
                    levels4(queries, r * channels, channels, words, from + t, pageSize, scores, at, stride);
                } else {
                    levels2(queries, r * channels, channels, words, from + t, pageSize, scores, at, stride);
                }
            }
        }
        for (int r = 0; r < rows; r++) {
            scale(words, pairs, pageSize, queries[sums + r], scores, to + r * stride);
        }
    }

    /** Two sums a row, of the even and the odd channels. */
    private static void levels4(
            float[] queries,
            int query,
            int channels,
            int[] words,
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
        for (int c = 0; c < channels; c += 8) {
            IntVector word = IntVector.fromArray(I, words, from + (c >> 3) * pageSize);
            FloatVector even = (FloatVector) word.and(15).convertShape(VectorOperators.I2F, F, 0);
            FloatVector odd = (FloatVector) word.and(0xf0).convertShape(VectorOperators.I2F, F, 0);
            a0 = even.fma(FloatVector.broadcast(F, queries[query + c]), a0);
            a1 = odd.fma(FloatVector.broadcast(F, queries[query + c + 1]), a1);
            b0 = even.fma(FloatVector.broadcast(F, queries[query + c + channels]), b0);
            b1 = odd.fma(FloatVector.broadcast(F, queries[query + c + 1 + channels]), b1);
            c0 = even.fma(FloatVector.broadcast(F, queries[query + c + 2 * channels]), c0);
            c1 = odd.fma(FloatVector.broadcast(F, queries[query + c + 1 + 2 * channels]), c1);
            d0 = even.fma(FloatVector.broadcast(F, queries[query + c + 3 * channels]), d0);
            d1 = odd.fma(FloatVector.broadcast(F, queries[query + c + 1 + 3 * channels]), d1);
            even = (FloatVector) word.and(0xf00).convertShape(VectorOperators.I2F, F, 0);
            odd = (FloatVector) word.and(0xf000).convertShape(VectorOperators.I2F, F, 0);
            a0 = even.fma(FloatVector.broadcast(F, queries[query + c + 2]), a0);
            a1 = odd.fma(FloatVector.broadcast(F, queries[query + c + 3]), a1);
            b0 = even.fma(FloatVector.broadcast(F, queries[query + c + 2 + channels]), b0);
            b1 = odd.fma(FloatVector.broadcast(F, queries[query + c + 3 + channels]), b1);
            c0 = even.fma(FloatVector.broadcast(F, queries[query + c + 2 + 2 * channels]), c0);
            c1 = odd.fma(FloatVector.broadcast(F, queries[query + c + 3 + 2 * channels]), c1);
            d0 = even.fma(FloatVector.broadcast(F, queries[query + c + 2 + 3 * channels]), d0);
            d1 = odd.fma(FloatVector.broadcast(F, queries[query + c + 3 + 3 * channels]), d1);
            even = (FloatVector) word.and(0xf0000).convertShape(VectorOperators.I2F, F, 0);
            odd = (FloatVector) word.and(0xf00000).convertShape(VectorOperators.I2F, F, 0);
            a0 = even.fma(FloatVector.broadcast(F, queries[query + c + 4]), a0);
            a1 = odd.fma(FloatVector.broadcast(F, queries[query + c + 5]), a1);
            b0 = even.fma(FloatVector.broadcast(F, queries[query + c + 4 + channels]), b0);
            b1 = odd.fma(FloatVector.broadcast(F, queries[query + c + 5 + channels]), b1);
            c0 = even.fma(FloatVector.broadcast(F, queries[query + c + 4 + 2 * channels]), c0);
            c1 = odd.fma(FloatVector.broadcast(F, queries[query + c + 5 + 2 * channels]), c1);
            d0 = even.fma(FloatVector.broadcast(F, queries[query + c + 4 + 3 * channels]), d0);
            d1 = odd.fma(FloatVector.broadcast(F, queries[query + c + 5 + 3 * channels]), d1);
            even = (FloatVector) word.and(0xf000000).convertShape(VectorOperators.I2F, F, 0);
            odd = (FloatVector) word.lanewise(VectorOperators.LSHR, 28).convertShape(VectorOperators.I2F, F, 0);
            a0 = even.fma(FloatVector.broadcast(F, queries[query + c + 6]), a0);
            a1 = odd.fma(FloatVector.broadcast(F, queries[query + c + 7]), a1);
            b0 = even.fma(FloatVector.broadcast(F, queries[query + c + 6 + channels]), b0);
            b1 = odd.fma(FloatVector.broadcast(F, queries[query + c + 7 + channels]), b1);
            c0 = even.fma(FloatVector.broadcast(F, queries[query + c + 6 + 2 * channels]), c0);
            c1 = odd.fma(FloatVector.broadcast(F, queries[query + c + 7 + 2 * channels]), c1);
            d0 = even.fma(FloatVector.broadcast(F, queries[query + c + 6 + 3 * channels]), d0);
            d1 = odd.fma(FloatVector.broadcast(F, queries[query + c + 7 + 3 * channels]), d1);
        }
        a0.add(a1).intoArray(scores, to);
        b0.add(b1).intoArray(scores, to + stride);
        c0.add(c1).intoArray(scores, to + 2 * stride);
        d0.add(d1).intoArray(scores, to + 3 * stride);
    }

    private static void levels2(
            float[] queries,
            int query,
            int channels,
            int[] words,
            int from,
            int pageSize,
            float[] scores,
            int to,
            int stride) {
        FloatVector a0 = FloatVector.zero(F);
        FloatVector a1 = FloatVector.zero(F);
        FloatVector b0 = FloatVector.zero(F);
        FloatVector b1 = FloatVector.zero(F);
        for (int c = 0; c < channels; c += 8) {
            IntVector word = IntVector.fromArray(I, words, from + (c >> 3) * pageSize);
            FloatVector even = (FloatVector) word.and(15).convertShape(VectorOperators.I2F, F, 0);
            FloatVector odd = (FloatVector) word.and(0xf0).convertShape(VectorOperators.I2F, F, 0);
            a0 = even.fma(FloatVector.broadcast(F, queries[query + c]), a0);
            a1 = odd.fma(FloatVector.broadcast(F, queries[query + c + 1]), a1);
            b0 = even.fma(FloatVector.broadcast(F, queries[query + c + channels]), b0);
            b1 = odd.fma(FloatVector.broadcast(F, queries[query + c + 1 + channels]), b1);
            even = (FloatVector) word.and(0xf00).convertShape(VectorOperators.I2F, F, 0);
            odd = (FloatVector) word.and(0xf000).convertShape(VectorOperators.I2F, F, 0);
            a0 = even.fma(FloatVector.broadcast(F, queries[query + c + 2]), a0);
            a1 = odd.fma(FloatVector.broadcast(F, queries[query + c + 3]), a1);
            b0 = even.fma(FloatVector.broadcast(F, queries[query + c + 2 + channels]), b0);
            b1 = odd.fma(FloatVector.broadcast(F, queries[query + c + 3 + channels]), b1);
            even = (FloatVector) word.and(0xf0000).convertShape(VectorOperators.I2F, F, 0);
            odd = (FloatVector) word.and(0xf00000).convertShape(VectorOperators.I2F, F, 0);
            a0 = even.fma(FloatVector.broadcast(F, queries[query + c + 4]), a0);
            a1 = odd.fma(FloatVector.broadcast(F, queries[query + c + 5]), a1);
            b0 = even.fma(FloatVector.broadcast(F, queries[query + c + 4 + channels]), b0);
            b1 = odd.fma(FloatVector.broadcast(F, queries[query + c + 5 + channels]), b1);
            even = (FloatVector) word.and(0xf000000).convertShape(VectorOperators.I2F, F, 0);
            odd = (FloatVector) word.lanewise(VectorOperators.LSHR, 28).convertShape(VectorOperators.I2F, F, 0);
            a0 = even.fma(FloatVector.broadcast(F, queries[query + c + 6]), a0);
            a1 = odd.fma(FloatVector.broadcast(F, queries[query + c + 7]), a1);
            b0 = even.fma(FloatVector.broadcast(F, queries[query + c + 6 + channels]), b0);
            b1 = odd.fma(FloatVector.broadcast(F, queries[query + c + 7 + channels]), b1);
        }
        a0.add(a1).intoArray(scores, to);
        b0.add(b1).intoArray(scores, to + stride);
    }

    private static void scale(int[] pairs, int from, int pageSize, float sum, float[] scores, int to) {
        for (int t = 0; t < pageSize; t += LANES) {
            IntVector pair = IntVector.fromArray(I, pairs, from + t);
            FloatVector scale = pair.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
            FloatVector min = pair.and(0xffff0000).reinterpretAsFloats();
            FloatVector.fromArray(F, scores, to + t).fma(scale, min.mul(sum)).intoArray(scores, to + t);
        }
    }

    /** The Vector API of Java 17 can't count bits, but its compiler makes vectors of such loops where the processor can. */
    @Override
    public void signSums(int[][] signs, int first, int words, int tokens, int[] query, int at, int[] sums) {
        if (LANES < 16) {
            scalar.signSums(signs, first, words, tokens, query, at, sums);
            return;
        }
        Arrays.fill(sums, 0, tokens, query[at]);
        for (int w = 0; w < words; w += 4) {
            addSignSums(signs, first + w, words - w, tokens, query, at + 1 + w * NUMBER_BITS, sums);
        }
    }

    /** Up to four words. One loop would be inlined, and the compiler makes no vectors of it inside of others; this method is too long for that. */
    private static void addSignSums(int[][] signs, int word, int words, int tokens, int[] query, int at, int[] sums) {
        int[] word0 = signs[word];
        int ones0 = query[at];
        int twos0 = query[at + 1];
        int fours0 = query[at + 2];
        int minusEights0 = query[at + 3];
        for (int t = 0; t < tokens; t++) {
            int bits = word0[t];
            sums[t] += (Integer.bitCount(bits & ones0) << 1)
                    + (Integer.bitCount(bits & twos0) << 2)
                    + (Integer.bitCount(bits & fours0) << 3)
                    - (Integer.bitCount(bits & minusEights0) << 4);
        }
        if (words == 1) {
            return;
        }
        int[] word1 = signs[word + 1];
        int ones1 = query[at + 4];
        int twos1 = query[at + 5];
        int fours1 = query[at + 6];
        int minusEights1 = query[at + 7];
        for (int t = 0; t < tokens; t++) {
            int bits = word1[t];
            sums[t] += (Integer.bitCount(bits & ones1) << 1)
                    + (Integer.bitCount(bits & twos1) << 2)
                    + (Integer.bitCount(bits & fours1) << 3)
                    - (Integer.bitCount(bits & minusEights1) << 4);
        }
        if (words == 2) {
            return;
        }
        int[] word2 = signs[word + 2];
        int ones2 = query[at + 8];
        int twos2 = query[at + 9];
        int fours2 = query[at + 10];
        int minusEights2 = query[at + 11];
        for (int t = 0; t < tokens; t++) {
            int bits = word2[t];
            sums[t] += (Integer.bitCount(bits & ones2) << 1)
                    + (Integer.bitCount(bits & twos2) << 2)
                    + (Integer.bitCount(bits & fours2) << 3)
                    - (Integer.bitCount(bits & minusEights2) << 4);
        }
        if (words == 3) {
            return;
        }
        int[] word3 = signs[word + 3];
        int ones3 = query[at + 12];
        int twos3 = query[at + 13];
        int fours3 = query[at + 14];
        int minusEights3 = query[at + 15];
        for (int t = 0; t < tokens; t++) {
            int bits = word3[t];
            sums[t] += (Integer.bitCount(bits & ones3) << 1)
                    + (Integer.bitCount(bits & twos3) << 2)
                    + (Integer.bitCount(bits & fours3) << 3)
                    - (Integer.bitCount(bits & minusEights3) << 4);
        }
    }

    @Override
    public void scaleSums(
            int[] sums,
            short[] factors,
            int from,
            float step,
            float[] offsets,
            int at,
            int tokens,
            int pages,
            float[] logits) {
        // Written out: from methods of its own the compiler of JDK 17 returns the vectors on the heap.
        for (int p = 0; p < pages; p += 4 * LANES) {
            FloatVector offset0 = FloatVector.fromArray(F, offsets, at + p);
            FloatVector offset1 = FloatVector.fromArray(F, offsets, at + p + LANES);
            FloatVector offset2 = FloatVector.fromArray(F, offsets, at + p + 2 * LANES);
            FloatVector offset3 = FloatVector.fromArray(F, offsets, at + p + 3 * LANES);
            for (int i = p; i < tokens * pages; i += pages) {
                FloatVector sum0 =
                        (FloatVector) IntVector.fromArray(I, sums, i).convertShape(VectorOperators.I2F, F, 0);
                FloatVector factor0 = ((IntVector)
                                ShortVector.fromArray(S, factors, from + i).convertShape(VectorOperators.S2I, I, 0))
                        .lanewise(VectorOperators.LSHL, 16)
                        .reinterpretAsFloats();
                factor0.mul(sum0.mul(step)).add(offset0).intoArray(logits, i);
                FloatVector sum1 =
                        (FloatVector) IntVector.fromArray(I, sums, i + LANES).convertShape(VectorOperators.I2F, F, 0);
                FloatVector factor1 = ((IntVector) ShortVector.fromArray(S, factors, from + i + LANES)
                                .convertShape(VectorOperators.S2I, I, 0))
                        .lanewise(VectorOperators.LSHL, 16)
                        .reinterpretAsFloats();
                factor1.mul(sum1.mul(step)).add(offset1).intoArray(logits, i + LANES);
                FloatVector sum2 = (FloatVector)
                        IntVector.fromArray(I, sums, i + 2 * LANES).convertShape(VectorOperators.I2F, F, 0);
                FloatVector factor2 = ((IntVector) ShortVector.fromArray(S, factors, from + i + 2 * LANES)
                                .convertShape(VectorOperators.S2I, I, 0))
                        .lanewise(VectorOperators.LSHL, 16)
                        .reinterpretAsFloats();
                factor2.mul(sum2.mul(step)).add(offset2).intoArray(logits, i + 2 * LANES);
                FloatVector sum3 = (FloatVector)
                        IntVector.fromArray(I, sums, i + 3 * LANES).convertShape(VectorOperators.I2F, F, 0);
                FloatVector factor3 = ((IntVector) ShortVector.fromArray(S, factors, from + i + 3 * LANES)
                                .convertShape(VectorOperators.S2I, I, 0))
                        .lanewise(VectorOperators.LSHL, 16)
                        .reinterpretAsFloats();
                factor3.mul(sum3.mul(step)).add(offset3).intoArray(logits, i + 3 * LANES);
            }
        }
    }

    @Override
    public void roughExpSums(float[] logits, int tokens, int pages, float shift, float[] sums, int to) {
        FloatVector factor = FloatVector.broadcast(F, RoughExp.FACTOR);
        FloatVector addend = FloatVector.broadcast(F, RoughExp.addend(shift));
        for (int p = 0; p < pages; p += 4 * LANES) {
            FloatVector sum0 = FloatVector.zero(F);
            FloatVector sum1 = FloatVector.zero(F);
            FloatVector sum2 = FloatVector.zero(F);
            FloatVector sum3 = FloatVector.zero(F);
            for (int i = p; i < tokens * pages; i += pages) {
                sum0 = sum0.add(FloatVector.fromArray(F, logits, i)
                        .fma(factor, addend)
                        .reinterpretAsInts()
                        .max(RoughExp.ZERO_BITS)
                        .lanewise(VectorOperators.LSHL, RoughExp.SHIFT)
                        .reinterpretAsFloats());
                sum1 = sum1.add(FloatVector.fromArray(F, logits, i + LANES)
                        .fma(factor, addend)
                        .reinterpretAsInts()
                        .max(RoughExp.ZERO_BITS)
                        .lanewise(VectorOperators.LSHL, RoughExp.SHIFT)
                        .reinterpretAsFloats());
                sum2 = sum2.add(FloatVector.fromArray(F, logits, i + 2 * LANES)
                        .fma(factor, addend)
                        .reinterpretAsInts()
                        .max(RoughExp.ZERO_BITS)
                        .lanewise(VectorOperators.LSHL, RoughExp.SHIFT)
                        .reinterpretAsFloats());
                sum3 = sum3.add(FloatVector.fromArray(F, logits, i + 3 * LANES)
                        .fma(factor, addend)
                        .reinterpretAsInts()
                        .max(RoughExp.ZERO_BITS)
                        .lanewise(VectorOperators.LSHL, RoughExp.SHIFT)
                        .reinterpretAsFloats());
            }
            sum0.intoArray(sums, to + p);
            sum1.intoArray(sums, to + p + LANES);
            sum2.intoArray(sums, to + p + 2 * LANES);
            sum3.intoArray(sums, to + p + 3 * LANES);
        }
    }

    @Override
    public void expSums(float[] logits, int from, int pageSize, int pages, float shift, float[] sums, int to) {
        if (pageSize < LANES) {
            scalar.expSums(logits, from, pageSize, pages, shift, sums, to);
            return;
        }
        float[] lanes = new float[(pages + 1) * LANES];
        for (int p = 0; p < pages; p++) {
            FloatVector sum = FloatVector.zero(F);
            for (int i = from + p * pageSize; i < from + (p + 1) * pageSize; i += LANES) {
                sum = sum.add(
                        VectorKernels.exp(FloatVector.fromArray(F, logits, i).sub(shift)));
            }
            sum.intoArray(lanes, p * LANES);
        }
        int width = LANES;
        while (width > 4) {
            width /= 2;
            lanes = halves(lanes, pages, width);
        }
        for (int p = 0; p < pages; p++) {
            int at = p * width;
            sums[to + p] = lanes[at] + lanes[at + 1] + (lanes[at + 2] + lanes[at + 3]);
        }
    }

    /** Adds up the halves of {@code [count][2 * width]}. A store also writes behind its place, where the next one follows. */
    private static float[] halves(float[] lanes, int count, int width) {
        float[] sums = new float[count * width + LANES];
        for (int i = 0; i < count; i++) {
            FloatVector upper = FloatVector.fromArray(F, lanes, 2 * i * width + width);
            FloatVector.fromArray(F, lanes, 2 * i * width).add(upper).intoArray(sums, i * width);
        }
        return sums;
    }
}
