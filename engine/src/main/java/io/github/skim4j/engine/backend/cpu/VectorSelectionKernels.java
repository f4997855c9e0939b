package io.github.skim4j.engine.backend.cpu;

import static io.github.skim4j.engine.backend.cpu.VectorKernels.F;
import static io.github.skim4j.engine.backend.cpu.VectorKernels.I;
import static io.github.skim4j.engine.backend.cpu.VectorKernels.LANES;
import static io.github.skim4j.engine.backend.cpu.VectorKernels.S;

import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/** Selection on the Vector API. */
final class VectorSelectionKernels implements SelectionKernels {

    /** As many tokens as a table has entries, so that the tokens' bits are indices of its lanes. */
    private static final VectorSpecies<Byte> TOKENS = ByteVector.SPECIES_128;

    private static final VectorSpecies<Short> SUMS = ShortVector.SPECIES_256;

    private final SelectionKernels scalar = new ScalarSelectionKernels();

    @Override
    public void bounds(
            float[] queries,
            int rows,
            int headDim,
            int[] pairs,
            int from,
            int pages,
            float[] scores,
            int to,
            int stride) {
        float[] lanes = new float[4 * LANES];
        for (int r = 0; r < rows; r += 4) {
            int count = Math.min(4, rows - r);
            for (int p = 0; p < pages; p++) {
                if (count > 2) {
                    bounds4(queries, r * headDim, headDim, pairs, from + p * headDim, lanes);
                } else {
                    bounds2(queries, r * headDim, headDim, pairs, from + p * headDim, lanes);
                }
                for (int i = 0; i < count; i++) {
                    scores[to + p + (r + i) * stride] = sum(lanes, i * LANES);
                }
            }
        }
    }

    private static void bounds4(float[] queries, int query, int headDim, int[] pairs, int from, float[] lanes) {
        FloatVector a = FloatVector.zero(F);
        FloatVector b = FloatVector.zero(F);
        FloatVector c = FloatVector.zero(F);
        FloatVector d = FloatVector.zero(F);
        for (int i = 0; i < headDim; i += LANES) {
            IntVector pair = IntVector.fromArray(I, pairs, from + i);
            FloatVector max = pair.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
            FloatVector min = pair.and(0xffff0000).reinterpretAsFloats();
            FloatVector q = FloatVector.fromArray(F, queries, query + i);
            a = a.add(q.mul(max).max(q.mul(min)));
            q = FloatVector.fromArray(F, queries, query + headDim + i);
            b = b.add(q.mul(max).max(q.mul(min)));
            q = FloatVector.fromArray(F, queries, query + 2 * headDim + i);
            c = c.add(q.mul(max).max(q.mul(min)));
            q = FloatVector.fromArray(F, queries, query + 3 * headDim + i);
            d = d.add(q.mul(max).max(q.mul(min)));
        }
        a.intoArray(lanes, 0);
        b.intoArray(lanes, LANES);
        c.intoArray(lanes, 2 * LANES);
        d.intoArray(lanes, 3 * LANES);
    }

    private static void bounds2(float[] queries, int query, int headDim, int[] pairs, int from, float[] lanes) {
        FloatVector a = FloatVector.zero(F);
        FloatVector b = FloatVector.zero(F);
        for (int i = 0; i < headDim; i += LANES) {
            IntVector pair = IntVector.fromArray(I, pairs, from + i);
            FloatVector max = pair.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
            FloatVector min = pair.and(0xffff0000).reinterpretAsFloats();
            FloatVector q = FloatVector.fromArray(F, queries, query + i);
            a = a.add(q.mul(max).max(q.mul(min)));
            q = FloatVector.fromArray(F, queries, query + headDim + i);
            b = b.add(q.mul(max).max(q.mul(min)));
        }
        a.intoArray(lanes, 0);
        b.intoArray(lanes, LANES);
    }

    @Override
    public void moments(
            float[] queries,
            int rows,
            int headDim,
            int[] pairs,
            int from,
            int pages,
            float[] scores,
            int to,
            int stride) {
        float[] lanes = new float[8 * LANES];
        for (int r = 0; r < rows; r += 4) {
            int count = Math.min(4, rows - r);
            for (int p = 0; p < pages; p++) {
                if (count > 2) {
                    moments4(queries, r * headDim, headDim, pairs, from + p * headDim, lanes);
                } else {
                    moments2(queries, r * headDim, headDim, pairs, from + p * headDim, lanes);
                }
                for (int i = 0; i < count; i++) {
                    scores[to + p + (r + i) * stride] =
                            sum(lanes, 2 * i * LANES) + (float) Math.sqrt(sum(lanes, (2 * i + 1) * LANES));
                }
            }
        }
    }

    /** For each row the lanes of the mean and those of the variance. */
    private static void moments4(float[] queries, int query, int headDim, int[] pairs, int from, float[] lanes) {
        FloatVector meanA = FloatVector.zero(F);
        FloatVector varianceA = FloatVector.zero(F);
        FloatVector meanB = FloatVector.zero(F);
        FloatVector varianceB = FloatVector.zero(F);
        FloatVector meanC = FloatVector.zero(F);
        FloatVector varianceC = FloatVector.zero(F);
        FloatVector meanD = FloatVector.zero(F);
        FloatVector varianceD = FloatVector.zero(F);
        for (int i = 0; i < headDim; i += LANES) {
            IntVector pair = IntVector.fromArray(I, pairs, from + i);
            FloatVector mean = pair.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
            FloatVector variance = pair.and(0xffff0000).reinterpretAsFloats();
            FloatVector q = FloatVector.fromArray(F, queries, query + i);
            meanA = mean.fma(q, meanA);
            varianceA = variance.fma(q.mul(q), varianceA);
            q = FloatVector.fromArray(F, queries, query + headDim + i);
            meanB = mean.fma(q, meanB);
            varianceB = variance.fma(q.mul(q), varianceB);
            q = FloatVector.fromArray(F, queries, query + 2 * headDim + i);
            meanC = mean.fma(q, meanC);
            varianceC = variance.fma(q.mul(q), varianceC);
            q = FloatVector.fromArray(F, queries, query + 3 * headDim + i);
            meanD = mean.fma(q, meanD);
            varianceD = variance.fma(q.mul(q), varianceD);
        }
        meanA.intoArray(lanes, 0);
        varianceA.intoArray(lanes, LANES);
        meanB.intoArray(lanes, 2 * LANES);
        varianceB.intoArray(lanes, 3 * LANES);
        meanC.intoArray(lanes, 4 * LANES);
        varianceC.intoArray(lanes, 5 * LANES);
        meanD.intoArray(lanes, 6 * LANES);
        varianceD.intoArray(lanes, 7 * LANES);
    }

    private static void moments2(float[] queries, int query, int headDim, int[] pairs, int from, float[] lanes) {
        FloatVector meanA = FloatVector.zero(F);
        FloatVector varianceA = FloatVector.zero(F);
        FloatVector meanB = FloatVector.zero(F);
        FloatVector varianceB = FloatVector.zero(F);
        for (int i = 0; i < headDim; i += LANES) {
            IntVector pair = IntVector.fromArray(I, pairs, from + i);
            FloatVector mean = pair.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
            FloatVector variance = pair.and(0xffff0000).reinterpretAsFloats();
            FloatVector q = FloatVector.fromArray(F, queries, query + i);
            meanA = mean.fma(q, meanA);
            varianceA = variance.fma(q.mul(q), varianceA);
            q = FloatVector.fromArray(F, queries, query + headDim + i);
            meanB = mean.fma(q, meanB);
            varianceB = variance.fma(q.mul(q), varianceB);
        }
        meanA.intoArray(lanes, 0);
        varianceA.intoArray(lanes, LANES);
        meanB.intoArray(lanes, 2 * LANES);
        varianceB.intoArray(lanes, 3 * LANES);
    }

    /** In pairs, which wait less for each other than one sum would. */
    private static float sum(float[] lanes, int from) {
        float sum = lanes[from] + lanes[from + 1] + (lanes[from + 2] + lanes[from + 3]);
        for (int i = from + 4; i < from + LANES; i += 4) {
            sum += lanes[i] + lanes[i + 1] + (lanes[i + 2] + lanes[i + 3]);
        }
        return sum;
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
                best = best.max(FloatVector.fromArray(F, scores, i + r * stride)
                        .mul(terms[factor + r * termStride])
                        .add(terms[addend + r * termStride]));
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

    @Override
    public void sketch(
            byte[] signs,
            int from,
            int bytes,
            short[] factors,
            int at,
            int pageSize,
            int pages,
            byte[] tables,
            int table,
            float step,
            float offset,
            float[] logits,
            int to) {
        if (LANES < 8 || pageSize < TOKENS.length()) {
            scalar.sketch(signs, from, bytes, factors, at, pageSize, pages, tables, table, step, offset, logits, to);
            return;
        }
        short[] sums = new short[pages * pageSize];
        for (int p = 0; p < pages; p++) {
            for (int t = 0; t < pageSize; t += TOKENS.length()) {
                int sign = from + p * bytes * pageSize + t;
                tableSums(signs, sign, bytes, pageSize, tables, table, sums, p * pageSize + t);
            }
        }
        scaleSums(sums, factors, at, step, offset, logits, to);
    }

    private static void scaleSums(
            short[] sums, short[] factors, int at, float step, float offset, float[] logits, int to) {
        for (int i = 0; i < sums.length; i += LANES) {
            FloatVector sum = (FloatVector) ShortVector.fromArray(S, sums, i).convertShape(VectorOperators.S2F, F, 0);
            FloatVector factor = ((IntVector)
                            ShortVector.fromArray(S, factors, at + i).convertShape(VectorOperators.S2I, I, 0))
                    .lanewise(VectorOperators.LSHL, 16)
                    .reinterpretAsFloats();
            factor.mul(sum.mul(step)).add(offset).intoArray(logits, to + i);
        }
    }

    /** Bytes are summed while no four entries of tables overflow. */
    private static void tableSums(
            byte[] signs, int from, int bytes, int pageSize, byte[] tables, int table, short[] sums, int to) {
        ShortVector total = ShortVector.zero(SUMS);
        for (int b = 0; b < bytes; b += 2) {
            int at = table + 2 * b * TOKENS.length();
            ByteVector low = ByteVector.fromArray(TOKENS, signs, from + b * pageSize);
            ByteVector high = low.reinterpretAsInts()
                    .lanewise(VectorOperators.LSHR, 4)
                    .reinterpretAsBytes()
                    .and((byte) 15);
            ByteVector sum = low.and((byte) 15).selectFrom(ByteVector.fromArray(TOKENS, tables, at));
            sum = sum.add(high.selectFrom(ByteVector.fromArray(TOKENS, tables, at + 16)));
            low = ByteVector.fromArray(TOKENS, signs, from + (b + 1) * pageSize);
            high = low.reinterpretAsInts()
                    .lanewise(VectorOperators.LSHR, 4)
                    .reinterpretAsBytes()
                    .and((byte) 15);
            sum = sum.add(low.and((byte) 15).selectFrom(ByteVector.fromArray(TOKENS, tables, at + 32)));
            sum = sum.add(high.selectFrom(ByteVector.fromArray(TOKENS, tables, at + 48)));
            total = total.add((ShortVector) sum.convertShape(VectorOperators.B2S, SUMS, 0));
        }
        total.intoArray(sums, to);
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
            sums[to + p] = sum(lanes, 0);
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
            sums[to + p] = sum(lanes, 0);
        }
    }
}
