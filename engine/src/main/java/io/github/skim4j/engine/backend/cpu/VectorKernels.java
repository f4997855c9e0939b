package io.github.skim4j.engine.backend.cpu;

import java.util.Arrays;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/** Kernels on the Vector API. Only {@code fromArray} forms are used, which have stayed the same from Java 17 on. */
final class VectorKernels implements CpuKernels {

    /** 512-bit vectors can lower the clock and rarely win where a page has 16 tokens. */
    private static final VectorSpecies<Float> F =
            FloatVector.SPECIES_PREFERRED.length() > 8 ? FloatVector.SPECIES_256 : FloatVector.SPECIES_PREFERRED;

    private static final VectorSpecies<Integer> I = F.length() == 8 ? IntVector.SPECIES_256 : IntVector.SPECIES_128;
    private static final VectorSpecies<Short> S = F.length() == 8 ? ShortVector.SPECIES_128 : ShortVector.SPECIES_64;
    private static final VectorSpecies<Byte> B = ByteVector.SPECIES_64;
    private static final int LANES = F.length();

    /** Tokens of the register tile: 2 panels × 6 tokens are 12 accumulators of 16 registers. */
    private static final int TILE = 6;

    @Override
    public String name() {
        return LANES * 32 + "-bit vectors";
    }

    @Override
    public int lanes() {
        return LANES;
    }

    @Override
    public void multiply(
            PackedMatrix matrix, int strip, MatrixInput input, float[] output, int stride, MatrixScratch scratch) {
        if (input.tokens() == 1) {
            multiplyVector(matrix, strip, input, output);
            return;
        }
        int first = strip * PackedMatrix.STRIP * LANES;
        for (int t = 0; t < input.tokens(); t++) {
            Arrays.fill(output, t * stride + first, t * stride + first + PackedMatrix.STRIP * LANES, 0);
        }
        for (int panel = strip * PackedMatrix.STRIP; panel < (strip + 1) * PackedMatrix.STRIP; panel += 2) {
            for (int column = 0; column < matrix.columns; column += MatrixScratch.COLUMNS) {
                int count = Math.min(MatrixScratch.COLUMNS, matrix.columns - column);
                unpack(matrix, panel, column, count, scratch.weights, 0);
                unpack(matrix, panel + 1, column, count, scratch.weights, MatrixScratch.COLUMNS * LANES);
                int t = 0;
                for (; t + TILE <= input.tokens(); t += TILE) {
                    multiplyTile6(matrix, panel, column, count, input, t, output, stride, scratch.weights);
                }
                for (; t + 2 <= input.tokens(); t += 2) {
                    multiplyTile2(matrix, panel, column, count, input, t, output, stride, scratch.weights);
                }
                for (; t < input.tokens(); t++) {
                    multiplyTile1(matrix, panel, column, count, input, t, output, stride, scratch.weights);
                }
            }
        }
    }

    private static void multiplyTile6(
            PackedMatrix matrix,
            int panel,
            int column,
            int count,
            MatrixInput input,
            int token,
            float[] output,
            int stride,
            float[] w) {
        float[] x = input.values();
        int columns = input.columns();
        int second = MatrixScratch.COLUMNS * LANES;
        int to = token * stride + panel * LANES;
        for (int k = 0; k < count; k += matrix.block) {
            FloatVector a0 = FloatVector.zero(F);
            FloatVector a1 = FloatVector.zero(F);
            FloatVector b0 = FloatVector.zero(F);
            FloatVector b1 = FloatVector.zero(F);
            FloatVector c0 = FloatVector.zero(F);
            FloatVector c1 = FloatVector.zero(F);
            FloatVector d0 = FloatVector.zero(F);
            FloatVector d1 = FloatVector.zero(F);
            FloatVector e0 = FloatVector.zero(F);
            FloatVector e1 = FloatVector.zero(F);
            FloatVector f0 = FloatVector.zero(F);
            FloatVector f1 = FloatVector.zero(F);
            int end = Math.min(count, k + matrix.block);
            int at = token * columns + column + k;
            for (int i = k; i < end; i++, at++) {
                FloatVector w0 = FloatVector.fromArray(F, w, i * LANES);
                FloatVector w1 = FloatVector.fromArray(F, w, second + i * LANES);
                FloatVector v = FloatVector.broadcast(F, x[at]);
                a0 = w0.fma(v, a0);
                a1 = w1.fma(v, a1);
                v = FloatVector.broadcast(F, x[at + columns]);
                b0 = w0.fma(v, b0);
                b1 = w1.fma(v, b1);
                v = FloatVector.broadcast(F, x[at + 2 * columns]);
                c0 = w0.fma(v, c0);
                c1 = w1.fma(v, c1);
                v = FloatVector.broadcast(F, x[at + 3 * columns]);
                d0 = w0.fma(v, d0);
                d1 = w1.fma(v, d1);
                v = FloatVector.broadcast(F, x[at + 4 * columns]);
                e0 = w0.fma(v, e0);
                e1 = w1.fma(v, e1);
                v = FloatVector.broadcast(F, x[at + 5 * columns]);
                f0 = w0.fma(v, f0);
                f1 = w1.fma(v, f1);
            }
            addBlock(matrix, panel, column + k, input, token, a0, a1, output, to);
            addBlock(matrix, panel, column + k, input, token + 1, b0, b1, output, to + stride);
            addBlock(matrix, panel, column + k, input, token + 2, c0, c1, output, to + 2 * stride);
            addBlock(matrix, panel, column + k, input, token + 3, d0, d1, output, to + 3 * stride);
            addBlock(matrix, panel, column + k, input, token + 4, e0, e1, output, to + 4 * stride);
            addBlock(matrix, panel, column + k, input, token + 5, f0, f1, output, to + 5 * stride);
        }
    }

    private static void multiplyTile2(
            PackedMatrix matrix,
            int panel,
            int column,
            int count,
            MatrixInput input,
            int token,
            float[] output,
            int stride,
            float[] w) {
        float[] x = input.values();
        int columns = input.columns();
        int second = MatrixScratch.COLUMNS * LANES;
        int to = token * stride + panel * LANES;
        for (int k = 0; k < count; k += matrix.block) {
            FloatVector a0 = FloatVector.zero(F);
            FloatVector a1 = FloatVector.zero(F);
            FloatVector b0 = FloatVector.zero(F);
            FloatVector b1 = FloatVector.zero(F);
            int end = Math.min(count, k + matrix.block);
            int at = token * columns + column + k;
            for (int i = k; i < end; i++, at++) {
                FloatVector w0 = FloatVector.fromArray(F, w, i * LANES);
                FloatVector w1 = FloatVector.fromArray(F, w, second + i * LANES);
                FloatVector v = FloatVector.broadcast(F, x[at]);
                a0 = w0.fma(v, a0);
                a1 = w1.fma(v, a1);
                v = FloatVector.broadcast(F, x[at + columns]);
                b0 = w0.fma(v, b0);
                b1 = w1.fma(v, b1);
            }
            addBlock(matrix, panel, column + k, input, token, a0, a1, output, to);
            addBlock(matrix, panel, column + k, input, token + 1, b0, b1, output, to + stride);
        }
    }

    private static void multiplyTile1(
            PackedMatrix matrix,
            int panel,
            int column,
            int count,
            MatrixInput input,
            int token,
            float[] output,
            int stride,
            float[] w) {
        float[] x = input.values();
        int columns = input.columns();
        int second = MatrixScratch.COLUMNS * LANES;
        int to = token * stride + panel * LANES;
        for (int k = 0; k < count; k += matrix.block) {
            FloatVector a0 = FloatVector.zero(F);
            FloatVector a1 = FloatVector.zero(F);
            int end = Math.min(count, k + matrix.block);
            int at = token * columns + column + k;
            for (int i = k; i < end; i++, at++) {
                FloatVector v = FloatVector.broadcast(F, x[at]);
                a0 = FloatVector.fromArray(F, w, i * LANES).fma(v, a0);
                a1 = FloatVector.fromArray(F, w, second + i * LANES).fma(v, a1);
            }
            addBlock(matrix, panel, column + k, input, token, a0, a1, output, to);
        }
    }

    /** Adds a block's sums of two panels, scaled, to the output. */
    private static void addBlock(
            PackedMatrix matrix,
            int panel,
            int column,
            MatrixInput input,
            int token,
            FloatVector a0,
            FloatVector a1,
            float[] output,
            int to) {
        int block = column / matrix.block;
        int scale = (panel * matrix.blocks() + block) * LANES;
        int next = matrix.blocks() * LANES;
        FloatVector o0 = FloatVector.fromArray(F, output, to);
        FloatVector o1 = FloatVector.fromArray(F, output, to + LANES);
        if (matrix.scales == null) {
            o0 = o0.add(a0);
            o1 = o1.add(a1);
        } else {
            o0 = FloatVector.fromArray(F, matrix.scales, scale).fma(a0, o0);
            o1 = FloatVector.fromArray(F, matrix.scales, scale + next).fma(a1, o1);
            if (matrix.mins != null) {
                FloatVector sum =
                        FloatVector.broadcast(F, input.sums()[token * input.blocks() + column / MatrixInput.SUM_BLOCK]);
                o0 = FloatVector.fromArray(F, matrix.mins, scale).fma(sum, o0);
                o1 = FloatVector.fromArray(F, matrix.mins, scale + next).fma(sum, o1);
            }
        }
        o0.intoArray(output, to);
        o1.intoArray(output, to + LANES);
    }

    private static void multiplyVector(PackedMatrix matrix, int strip, MatrixInput input, float[] output) {
        int panel = strip * PackedMatrix.STRIP;
        float[] x = input.values();
        int to = panel * LANES;
        int next = matrix.columns * LANES;
        FloatVector o0 = FloatVector.zero(F);
        FloatVector o1 = o0;
        FloatVector o2 = o0;
        FloatVector o3 = o0;
        int blocks = matrix.blocks();
        for (int b = 0; b < blocks; b++) {
            int k = b * matrix.block;
            int end = Math.min(matrix.columns, k + matrix.block);
            FloatVector a0 = FloatVector.zero(F);
            FloatVector a1 = a0;
            FloatVector a2 = a0;
            FloatVector a3 = a0;
            switch (matrix.layout) {
                case FLOAT -> {
                    float[] w = matrix.floats;
                    for (int at = panel * next + k * LANES; k < end; k++, at += LANES) {
                        FloatVector v = FloatVector.broadcast(F, x[k]);
                        a0 = FloatVector.fromArray(F, w, at).fma(v, a0);
                        a1 = FloatVector.fromArray(F, w, at + next).fma(v, a1);
                        a2 = FloatVector.fromArray(F, w, at + 2 * next).fma(v, a2);
                        a3 = FloatVector.fromArray(F, w, at + 3 * next).fma(v, a3);
                    }
                }
                case BFLOAT16 -> {
                    short[] w = matrix.shorts;
                    for (int at = panel * next + k * LANES; k < end; k++, at += LANES) {
                        FloatVector v = FloatVector.broadcast(F, x[k]);
                        a0 = bfloat16(w, at).fma(v, a0);
                        a1 = bfloat16(w, at + next).fma(v, a1);
                        a2 = bfloat16(w, at + 2 * next).fma(v, a2);
                        a3 = bfloat16(w, at + 3 * next).fma(v, a3);
                    }
                }
                case FLOAT16 -> {
                    short[] w = matrix.shorts;
                    for (int at = panel * next + k * LANES; k < end; k++, at += LANES) {
                        FloatVector v = FloatVector.broadcast(F, x[k]);
                        a0 = float16(w, at).fma(v, a0);
                        a1 = float16(w, at + next).fma(v, a1);
                        a2 = float16(w, at + 2 * next).fma(v, a2);
                        a3 = float16(w, at + 3 * next).fma(v, a3);
                    }
                }
                case BYTES -> {
                    byte[] w = matrix.bytes;
                    for (int at = panel * next + k * LANES; k < end; k++, at += LANES) {
                        FloatVector v = FloatVector.broadcast(F, x[k]);
                        a0 = level(w, at).fma(v, a0);
                        a1 = level(w, at + next).fma(v, a1);
                        a2 = level(w, at + 2 * next).fma(v, a2);
                        a3 = level(w, at + 3 * next).fma(v, a3);
                    }
                }
                case NIBBLES -> {
                    int[] w = matrix.ints;
                    int step = next / 8;
                    for (int at = panel * step + k / 8 * LANES; k < end; k += 8, at += LANES) {
                        IntVector w0 = IntVector.fromArray(I, w, at);
                        IntVector w1 = IntVector.fromArray(I, w, at + step);
                        IntVector w2 = IntVector.fromArray(I, w, at + 2 * step);
                        IntVector w3 = IntVector.fromArray(I, w, at + 3 * step);
                        for (int i = 0; i < 8; i++) {
                            FloatVector v = FloatVector.broadcast(F, x[k + i]);
                            a0 = lowNibble(w0).fma(v, a0);
                            a1 = lowNibble(w1).fma(v, a1);
                            a2 = lowNibble(w2).fma(v, a2);
                            a3 = lowNibble(w3).fma(v, a3);
                            w0 = w0.lanewise(VectorOperators.LSHR, 4);
                            w1 = w1.lanewise(VectorOperators.LSHR, 4);
                            w2 = w2.lanewise(VectorOperators.LSHR, 4);
                            w3 = w3.lanewise(VectorOperators.LSHR, 4);
                        }
                    }
                }
            }
            if (matrix.scales == null) {
                o0 = o0.add(a0);
                o1 = o1.add(a1);
                o2 = o2.add(a2);
                o3 = o3.add(a3);
                continue;
            }
            int scale = (panel * blocks + b) * LANES;
            int nextScale = blocks * LANES;
            o0 = FloatVector.fromArray(F, matrix.scales, scale).fma(a0, o0);
            o1 = FloatVector.fromArray(F, matrix.scales, scale + nextScale).fma(a1, o1);
            o2 = FloatVector.fromArray(F, matrix.scales, scale + 2 * nextScale).fma(a2, o2);
            o3 = FloatVector.fromArray(F, matrix.scales, scale + 3 * nextScale).fma(a3, o3);
            if (matrix.mins != null) {
                FloatVector sum = FloatVector.broadcast(F, input.sums()[b * matrix.block / MatrixInput.SUM_BLOCK]);
                o0 = FloatVector.fromArray(F, matrix.mins, scale).fma(sum, o0);
                o1 = FloatVector.fromArray(F, matrix.mins, scale + nextScale).fma(sum, o1);
                o2 = FloatVector.fromArray(F, matrix.mins, scale + 2 * nextScale)
                        .fma(sum, o2);
                o3 = FloatVector.fromArray(F, matrix.mins, scale + 3 * nextScale)
                        .fma(sum, o3);
            }
        }
        o0.intoArray(output, to);
        o1.intoArray(output, to + LANES);
        o2.intoArray(output, to + 2 * LANES);
        o3.intoArray(output, to + 3 * LANES);
    }

    /** Elements or levels of some columns of a panel as floats: [column][lane]. */
    private static void unpack(PackedMatrix matrix, int panel, int column, int count, float[] target, int to) {
        int from = (panel * matrix.columns + column) * LANES;
        int size = count * LANES;
        switch (matrix.layout) {
            case FLOAT -> System.arraycopy(matrix.floats, from, target, to, size);
            case BFLOAT16 -> {
                for (int i = 0; i < size; i += LANES) {
                    bfloat16(matrix.shorts, from + i).intoArray(target, to + i);
                }
            }
            case FLOAT16 -> {
                for (int i = 0; i < size; i += LANES) {
                    float16(matrix.shorts, from + i).intoArray(target, to + i);
                }
            }
            case BYTES -> {
                for (int i = 0; i < size; i += LANES) {
                    level(matrix.bytes, from + i).intoArray(target, to + i);
                }
            }
            case NIBBLES -> {
                for (int i = 0; i < size; i += 8 * LANES) {
                    IntVector w = IntVector.fromArray(I, matrix.ints, (from + i) / 8);
                    for (int j = 0; j < 8; j++) {
                        lowNibble(w).intoArray(target, to + i + j * LANES);
                        w = w.lanewise(VectorOperators.LSHR, 4);
                    }
                }
            }
        }
    }

    private static FloatVector level(byte[] levels, int at) {
        return (FloatVector) ByteVector.fromArray(B, levels, at).convertShape(VectorOperators.B2F, F, 0);
    }

    private static FloatVector lowNibble(IntVector levels) {
        return (FloatVector) levels.and(15).convertShape(VectorOperators.I2F, F, 0);
    }

    private static FloatVector bfloat16(short[] values, int at) {
        IntVector bits = (IntVector) ShortVector.fromArray(S, values, at).convertShape(VectorOperators.S2I, I, 0);
        return bits.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
    }

    /** The bits moved to a float's places, then 2^112 for the other exponent bias; subnormals come out right too. */
    private static FloatVector float16(short[] values, int at) {
        IntVector bits = (IntVector) ShortVector.fromArray(S, values, at).convertShape(VectorOperators.S2I, I, 0);
        IntVector sign = bits.and(0x80000000);
        IntVector magnitude = bits.and(0x7fff).lanewise(VectorOperators.LSHL, 13);
        return magnitude.or(sign).reinterpretAsFloats().mul(0x1p112f);
    }

    @Override
    public void multiply(
            float[] a, int aStride, int rows, float[] b, int bStride, int depth, float[] c, int cStride, int columns) {
        for (int i = 0; i < rows; i++) {
            Arrays.fill(c, i * cStride, i * cStride + columns, 0);
        }
        multiplyAdd(a, aStride, rows, b, bStride, depth, c, cStride, columns);
    }

    @Override
    public void multiplyAdd(
            float[] a, int aStride, int rows, float[] b, int bStride, int depth, float[] c, int cStride, int columns) {
        int j = 0;
        for (; j + 2 * LANES <= columns; j += 2 * LANES) {
            int i = 0;
            for (; i + 4 <= rows; i += 4) {
                multiplyAdd4(a, i * aStride, aStride, b, j, bStride, depth, c, i * cStride + j, cStride);
            }
            for (; i < rows; i++) {
                multiplyAdd1(a, i * aStride, b, j, bStride, depth, c, i * cStride + j);
                multiplyAdd1(a, i * aStride, b, j + LANES, bStride, depth, c, i * cStride + j + LANES);
            }
        }
        for (; j < columns; j += LANES) {
            for (int i = 0; i < rows; i++) {
                multiplyAdd1(a, i * aStride, b, j, bStride, depth, c, i * cStride + j);
            }
        }
    }

    private static void multiplyAdd4(
            float[] a,
            int from,
            int aStride,
            float[] b,
            int j,
            int bStride,
            int depth,
            float[] c,
            int to,
            int cStride) {
        FloatVector c00 = FloatVector.fromArray(F, c, to);
        FloatVector c01 = FloatVector.fromArray(F, c, to + LANES);
        FloatVector c10 = FloatVector.fromArray(F, c, to + cStride);
        FloatVector c11 = FloatVector.fromArray(F, c, to + cStride + LANES);
        FloatVector c20 = FloatVector.fromArray(F, c, to + 2 * cStride);
        FloatVector c21 = FloatVector.fromArray(F, c, to + 2 * cStride + LANES);
        FloatVector c30 = FloatVector.fromArray(F, c, to + 3 * cStride);
        FloatVector c31 = FloatVector.fromArray(F, c, to + 3 * cStride + LANES);
        for (int k = 0; k < depth; k++) {
            FloatVector b0 = FloatVector.fromArray(F, b, k * bStride + j);
            FloatVector b1 = FloatVector.fromArray(F, b, k * bStride + j + LANES);
            FloatVector v = FloatVector.broadcast(F, a[from + k]);
            c00 = b0.fma(v, c00);
            c01 = b1.fma(v, c01);
            v = FloatVector.broadcast(F, a[from + aStride + k]);
            c10 = b0.fma(v, c10);
            c11 = b1.fma(v, c11);
            v = FloatVector.broadcast(F, a[from + 2 * aStride + k]);
            c20 = b0.fma(v, c20);
            c21 = b1.fma(v, c21);
            v = FloatVector.broadcast(F, a[from + 3 * aStride + k]);
            c30 = b0.fma(v, c30);
            c31 = b1.fma(v, c31);
        }
        c00.intoArray(c, to);
        c01.intoArray(c, to + LANES);
        c10.intoArray(c, to + cStride);
        c11.intoArray(c, to + cStride + LANES);
        c20.intoArray(c, to + 2 * cStride);
        c21.intoArray(c, to + 2 * cStride + LANES);
        c30.intoArray(c, to + 3 * cStride);
        c31.intoArray(c, to + 3 * cStride + LANES);
    }

    private static void multiplyAdd1(float[] a, int from, float[] b, int j, int bStride, int depth, float[] c, int to) {
        FloatVector sum = FloatVector.fromArray(F, c, to);
        for (int k = 0; k < depth; k++) {
            sum = FloatVector.fromArray(F, b, k * bStride + j).fma(FloatVector.broadcast(F, a[from + k]), sum);
        }
        sum.intoArray(c, to);
    }

    @Override
    public void fromBfloat16(short[] source, int from, float[] target, int to, int count) {
        for (int i = 0; i < count; i += LANES) {
            bfloat16(source, from + i).intoArray(target, to + i);
        }
    }

    @Override
    public float max(float[] values, int from, int count) {
        FloatVector max = FloatVector.fromArray(F, values, from);
        for (int i = LANES; i < count; i += LANES) {
            max = max.max(FloatVector.fromArray(F, values, from + i));
        }
        return max.reduceLanes(VectorOperators.MAX);
    }

    @Override
    public float expAndSum(float[] values, int from, int count, float shift) {
        FloatVector sum = FloatVector.zero(F);
        for (int i = from; i < from + count; i += LANES) {
            FloatVector e = exp(FloatVector.fromArray(F, values, i).sub(shift));
            e.intoArray(values, i);
            sum = sum.add(e);
        }
        return sumLanes(sum);
    }

    /** {@code reduceLanes} leaves the order open, and with it the last bit. */
    private static float sumLanes(FloatVector v) {
        float sum = v.lane(0);
        for (int i = 1; i < LANES; i++) {
            sum += v.lane(i);
        }
        return sum;
    }

    /** {@link Exp#exp} in lanes. */
    private static FloatVector exp(FloatVector x) {
        VectorMask<Float> tooSmall = x.compare(VectorOperators.LT, Exp.MIN);
        FloatVector clamped = x.max(Exp.MIN).min(Exp.MAX);
        FloatVector shifted = clamped.fma(FloatVector.broadcast(F, Exp.LOG2_E), FloatVector.broadcast(F, Exp.ROUND));
        FloatVector n = shifted.sub(Exp.ROUND);
        FloatVector r = n.fma(FloatVector.broadcast(F, -Exp.LN2_HIGH), clamped);
        r = n.fma(FloatVector.broadcast(F, -Exp.LN2_LOW), r);
        FloatVector p = FloatVector.broadcast(F, Exp.C7);
        p = p.fma(r, FloatVector.broadcast(F, Exp.C6));
        p = p.fma(r, FloatVector.broadcast(F, Exp.C5));
        p = p.fma(r, FloatVector.broadcast(F, Exp.C4));
        p = p.fma(r, FloatVector.broadcast(F, Exp.C3));
        p = p.fma(r, FloatVector.broadcast(F, Exp.C2));
        p = p.mul(r).fma(r, r).add(1);
        IntVector exponent = shifted.reinterpretAsInts().lanewise(VectorOperators.LSHL, 23);
        // The rounded integer stands in the lowest bits of "shifted"; shifted left it adds to p's exponent.
        FloatVector e = p.reinterpretAsInts().add(exponent).reinterpretAsFloats();
        return e.blend(FloatVector.zero(F), tooSmall);
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

    @Override
    public float sumOfSquares(float[] values, int from, int count) {
        FloatVector sum = FloatVector.zero(F);
        int i = 0;
        for (; i + LANES <= count; i += LANES) {
            FloatVector v = FloatVector.fromArray(F, values, from + i);
            sum = v.fma(v, sum);
        }
        float rest = 0;
        for (; i < count; i++) {
            rest += values[from + i] * values[from + i];
        }
        return sumLanes(sum) + rest;
    }

    @Override
    public void swiGlu(float[] gate, float[] up, int from, int count, float[] target, int to) {
        int i = 0;
        for (; i + LANES <= count; i += LANES) {
            FloatVector g = FloatVector.fromArray(F, gate, from + i);
            FloatVector silu = g.div(exp(g.neg()).add(1));
            silu.mul(FloatVector.fromArray(F, up, from + i)).intoArray(target, to + i);
        }
        for (; i < count; i++) {
            float g = gate[from + i];
            target[to + i] = g / (1 + Exp.exp(-g)) * up[from + i];
        }
    }
}
