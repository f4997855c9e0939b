package io.github.skim4j.engine.backend.cpu;

import static io.github.skim4j.engine.backend.cpu.VectorKernels.B;
import static io.github.skim4j.engine.backend.cpu.VectorKernels.F;
import static io.github.skim4j.engine.backend.cpu.VectorKernels.I;
import static io.github.skim4j.engine.backend.cpu.VectorKernels.LANES;
import static io.github.skim4j.engine.backend.cpu.VectorKernels.S;

import java.util.Arrays;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/** {@link MatrixKernels} on the Vector API; see {@link VectorKernels}. */
final class VectorMatrixKernels implements MatrixKernels {

    /** Tokens of the register tile: 2 panels × 6 tokens are 12 accumulators of 16 registers. */
    private static final int TILE = 6;

    /** Where the second of two unpacked panels begins. */
    private static final int SECOND = MatrixScratch.COLUMNS * LANES;

    /** Four columns of a panel, a byte each. */
    private static final VectorSpecies<Byte> QUAD = LANES == 8 ? ByteVector.SPECIES_256 : ByteVector.SPECIES_128;

    private static final int QUAD_BYTES = 4 * LANES;

    @Override
    public int lanes() {
        return LANES;
    }

    @Override
    public void multiply(
            PackedMatrix matrix, int strip, MatrixInput input, float[] output, int stride, MatrixScratch scratch) {
        if (input.tokens() == 1) {
            multiplyVector(matrix, strip, input, output, scratch);
        } else {
            multiplyTiles(matrix, strip, input, output, stride, scratch);
        }
        if (matrix.mins != null) {
            addMins(matrix, strip, input, output, stride);
        }
    }

    private static void multiplyTiles(
            PackedMatrix matrix, int strip, MatrixInput input, float[] output, int stride, MatrixScratch scratch) {
        int first = strip * PackedMatrix.STRIP * LANES;
        for (int t = 0; t < input.tokens(); t++) {
            Arrays.fill(output, t * stride + first, t * stride + first + PackedMatrix.STRIP * LANES, 0);
        }
        for (int panel = strip * PackedMatrix.STRIP; panel < (strip + 1) * PackedMatrix.STRIP; panel += 2) {
            for (int column = 0; column < matrix.columns; column += MatrixScratch.COLUMNS) {
                int count = Math.min(MatrixScratch.COLUMNS, matrix.columns - column);
                unpack(matrix, panel, column, count, scratch, 0);
                unpack(matrix, panel + 1, column, count, scratch, SECOND);
                for (int t = 0; t < input.tokens(); t += TILE) {
                    multiplyTile(matrix, panel, column, count, input, t, scratch.weights, output, stride);
                }
            }
        }
    }

    /** Up to {@link #TILE} tokens × 2 unpacked panels × some columns, added to the output. */
    private static void multiplyTile(
            PackedMatrix matrix,
            int panel,
            int column,
            int count,
            MatrixInput input,
            int token,
            float[] w,
            float[] output,
            int stride) {
        float[] x = input.values();
        int columns = input.columns();
        int end = Math.min(token + TILE, input.tokens());
        int at = token * columns + column;
        int to = token * stride + panel * LANES;
        int t = token;
        if (end - token == TILE) {
            multiply6(matrix, panel, column, count, x, at, w, output, to, stride);
            return;
        }
        for (; t + 2 <= end; t += 2, at += 2 * columns, to += 2 * stride) {
            multiply2(matrix, panel, column, count, x, at, w, output, to, stride);
        }
        if (t < end) {
            multiply1(matrix, panel, column, count, x, at, w, output, to);
        }
    }

    /** Six tokens × 2 panels: the sums of a block stay in registers, hence so long. */
    private static void multiply6(
            PackedMatrix matrix,
            int panel,
            int column,
            int count,
            float[] x,
            int at,
            float[] w,
            float[] output,
            int to,
            int stride) {
        int columns = matrix.columns;
        int block = matrix.block;
        int blocks = matrix.blocks();
        for (int k = 0; k < count; k += block) {
            int depth = Math.min(block, count - k);
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
            int first = k * LANES;
            int in = at + k;
            for (int i = 0; i < depth; i++) {
                FloatVector w0 = FloatVector.fromArray(F, w, first + i * LANES);
                FloatVector w1 = FloatVector.fromArray(F, w, first + i * LANES + SECOND);
                FloatVector v = FloatVector.broadcast(F, x[in + i]);
                a0 = w0.fma(v, a0);
                a1 = w1.fma(v, a1);
                v = FloatVector.broadcast(F, x[in + i + columns]);
                b0 = w0.fma(v, b0);
                b1 = w1.fma(v, b1);
                v = FloatVector.broadcast(F, x[in + i + 2 * columns]);
                c0 = w0.fma(v, c0);
                c1 = w1.fma(v, c1);
                v = FloatVector.broadcast(F, x[in + i + 3 * columns]);
                d0 = w0.fma(v, d0);
                d1 = w1.fma(v, d1);
                v = FloatVector.broadcast(F, x[in + i + 4 * columns]);
                e0 = w0.fma(v, e0);
                e1 = w1.fma(v, e1);
                v = FloatVector.broadcast(F, x[in + i + 5 * columns]);
                f0 = w0.fma(v, f0);
                f1 = w1.fma(v, f1);
            }
            int scale = (panel * blocks + (column + k) / block) * LANES;
            FloatVector s0 = FloatVector.fromArray(F, matrix.scales, scale);
            FloatVector s1 = FloatVector.fromArray(F, matrix.scales, scale + blocks * LANES);
            s0.fma(a0, FloatVector.fromArray(F, output, to)).intoArray(output, to);
            s1.fma(a1, FloatVector.fromArray(F, output, to + LANES)).intoArray(output, to + LANES);
            s0.fma(b0, FloatVector.fromArray(F, output, to + stride)).intoArray(output, to + stride);
            s1.fma(b1, FloatVector.fromArray(F, output, to + stride + LANES)).intoArray(output, to + stride + LANES);
            s0.fma(c0, FloatVector.fromArray(F, output, to + 2 * stride)).intoArray(output, to + 2 * stride);
            s1.fma(c1, FloatVector.fromArray(F, output, to + 2 * stride + LANES))
                    .intoArray(output, to + 2 * stride + LANES);
            s0.fma(d0, FloatVector.fromArray(F, output, to + 3 * stride)).intoArray(output, to + 3 * stride);
            s1.fma(d1, FloatVector.fromArray(F, output, to + 3 * stride + LANES))
                    .intoArray(output, to + 3 * stride + LANES);
            s0.fma(e0, FloatVector.fromArray(F, output, to + 4 * stride)).intoArray(output, to + 4 * stride);
            s1.fma(e1, FloatVector.fromArray(F, output, to + 4 * stride + LANES))
                    .intoArray(output, to + 4 * stride + LANES);
            s0.fma(f0, FloatVector.fromArray(F, output, to + 5 * stride)).intoArray(output, to + 5 * stride);
            s1.fma(f1, FloatVector.fromArray(F, output, to + 5 * stride + LANES))
                    .intoArray(output, to + 5 * stride + LANES);
        }
    }

    private static void multiply2(
            PackedMatrix matrix,
            int panel,
            int column,
            int count,
            float[] x,
            int at,
            float[] w,
            float[] output,
            int to,
            int stride) {
        int columns = matrix.columns;
        int block = matrix.block;
        int blocks = matrix.blocks();
        for (int k = 0; k < count; k += block) {
            int depth = Math.min(block, count - k);
            FloatVector a0 = FloatVector.zero(F);
            FloatVector a1 = FloatVector.zero(F);
            FloatVector b0 = FloatVector.zero(F);
            FloatVector b1 = FloatVector.zero(F);
            int first = k * LANES;
            int in = at + k;
            for (int i = 0; i < depth; i++) {
                FloatVector w0 = FloatVector.fromArray(F, w, first + i * LANES);
                FloatVector w1 = FloatVector.fromArray(F, w, first + i * LANES + SECOND);
                FloatVector v = FloatVector.broadcast(F, x[in + i]);
                a0 = w0.fma(v, a0);
                a1 = w1.fma(v, a1);
                v = FloatVector.broadcast(F, x[in + i + columns]);
                b0 = w0.fma(v, b0);
                b1 = w1.fma(v, b1);
            }
            int scale = (panel * blocks + (column + k) / block) * LANES;
            FloatVector s0 = FloatVector.fromArray(F, matrix.scales, scale);
            FloatVector s1 = FloatVector.fromArray(F, matrix.scales, scale + blocks * LANES);
            s0.fma(a0, FloatVector.fromArray(F, output, to)).intoArray(output, to);
            s1.fma(a1, FloatVector.fromArray(F, output, to + LANES)).intoArray(output, to + LANES);
            s0.fma(b0, FloatVector.fromArray(F, output, to + stride)).intoArray(output, to + stride);
            s1.fma(b1, FloatVector.fromArray(F, output, to + stride + LANES)).intoArray(output, to + stride + LANES);
        }
    }

    private static void multiply1(
            PackedMatrix matrix,
            int panel,
            int column,
            int count,
            float[] x,
            int at,
            float[] w,
            float[] output,
            int to) {
        int block = matrix.block;
        int blocks = matrix.blocks();
        for (int k = 0; k < count; k += block) {
            int depth = Math.min(block, count - k);
            FloatVector a0 = FloatVector.zero(F);
            FloatVector a1 = FloatVector.zero(F);
            int first = k * LANES;
            int in = at + k;
            for (int i = 0; i < depth; i++) {
                FloatVector w0 = FloatVector.fromArray(F, w, first + i * LANES);
                FloatVector w1 = FloatVector.fromArray(F, w, first + i * LANES + SECOND);
                FloatVector v = FloatVector.broadcast(F, x[in + i]);
                a0 = w0.fma(v, a0);
                a1 = w1.fma(v, a1);
            }
            int scale = (panel * blocks + (column + k) / block) * LANES;
            FloatVector s0 = FloatVector.fromArray(F, matrix.scales, scale);
            FloatVector s1 = FloatVector.fromArray(F, matrix.scales, scale + blocks * LANES);
            s0.fma(a0, FloatVector.fromArray(F, output, to)).intoArray(output, to);
            s1.fma(a1, FloatVector.fromArray(F, output, to + LANES)).intoArray(output, to + LANES);
        }
    }

    /** Adds what the minima make: for each block the minimum times the sum of its inputs. */
    private static void addMins(PackedMatrix matrix, int strip, MatrixInput input, float[] output, int stride) {
        for (int t = 0; t < input.tokens(); t++) {
            int to = t * stride + strip * PackedMatrix.STRIP * LANES;
            if (matrix.minLevels == null) {
                addMins(matrix, strip, input, t, output, to);
            } else {
                addMinLevels(matrix, strip, input, t, output, to);
            }
        }
    }

    /** All panels of the strip at once, lest each addition wait for the last. */
    private static void addMins(PackedMatrix matrix, int strip, MatrixInput input, int token, float[] output, int to) {
        float[] mins = matrix.mins;
        int block = matrix.block;
        int next = matrix.blocks() * LANES;
        int at = strip * PackedMatrix.STRIP * next;
        FloatVector a = FloatVector.zero(F);
        FloatVector b = FloatVector.zero(F);
        FloatVector c = FloatVector.zero(F);
        FloatVector d = FloatVector.zero(F);
        for (int i = 0; i < matrix.blocks(); i++) {
            FloatVector v = FloatVector.broadcast(F, matrix.minFactor * input.sum(token, i, block));
            a = FloatVector.fromArray(F, mins, at + i * LANES).fma(v, a);
            b = FloatVector.fromArray(F, mins, at + i * LANES + next).fma(v, b);
            c = FloatVector.fromArray(F, mins, at + i * LANES + 2 * next).fma(v, c);
            d = FloatVector.fromArray(F, mins, at + i * LANES + 3 * next).fma(v, d);
        }
        FloatVector.fromArray(F, output, to).add(a).intoArray(output, to);
        FloatVector.fromArray(F, output, to + LANES).add(b).intoArray(output, to + LANES);
        FloatVector.fromArray(F, output, to + 2 * LANES).add(c).intoArray(output, to + 2 * LANES);
        FloatVector.fromArray(F, output, to + 3 * LANES).add(d).intoArray(output, to + 3 * LANES);
    }

    private static void addMinLevels(
            PackedMatrix matrix, int strip, MatrixInput input, int token, float[] output, int to) {
        int blocks = matrix.blocks();
        int shared = matrix.minBlocks;
        for (int p = 0; p < PackedMatrix.STRIP; p++) {
            int panel = strip * PackedMatrix.STRIP + p;
            FloatVector sum = FloatVector.fromArray(F, output, to + p * LANES);
            for (int s = 0; s < blocks / shared; s++) {
                int at = (panel * blocks + s * shared) * LANES;
                FloatVector levels = FloatVector.zero(F);
                for (int i = 0; i < shared; i++) {
                    FloatVector v = FloatVector.broadcast(F, input.sum(token, s * shared + i, matrix.block));
                    levels = ((FloatVector) ByteVector.fromArray(B, matrix.minLevels, at + i * LANES)
                                    .convertShape(VectorOperators.B2F, F, 0))
                            .fma(v, levels);
                }
                sum = FloatVector.fromArray(F, matrix.mins, (panel * (blocks / shared) + s) * LANES)
                        .fma(levels, sum);
            }
            sum.intoArray(output, to + p * LANES);
        }
    }

    /** One token; the same arithmetic for a row as in tiles, with weights that are unpacked on the way. */
    private static void multiplyVector(
            PackedMatrix matrix, int strip, MatrixInput input, float[] output, MatrixScratch scratch) {
        int panel = strip * PackedMatrix.STRIP;
        float[] x = input.values();
        switch (matrix.layout) {
            case BYTES -> {
                int next = matrix.columns * LANES;
                multiplyBytes(matrix, panel, matrix.bytes, panel * next, next, 0, matrix.columns, x, output);
            }
            case NIBBLES -> {
                multiplyNibbles(matrix, panel, x, output);
                multiplyNibbles(matrix, panel + 2, x, output);
            }
            case SPLIT -> multiplySplit(matrix, panel, x, output, scratch.levels);
            default -> multiplyUnscaled(matrix, panel, x, output, scratch);
        }
    }

    private static void multiplyUnscaled(
            PackedMatrix matrix, int panel, float[] x, float[] output, MatrixScratch scratch) {
        int next = matrix.columns * LANES;
        int to = panel * LANES;
        Arrays.fill(output, to, to + PackedMatrix.STRIP * LANES, 0);
        for (int k = 0; k < matrix.columns; k += matrix.block) {
            int depth = Math.min(matrix.block, matrix.columns - k);
            int at = panel * next + k * LANES;
            switch (matrix.layout) {
                case FLOAT -> multiplyFloats(matrix.floats, at, next, x, k, depth, output, to);
                case BFLOAT16 -> multiplyBfloat16s(matrix.shorts, at, next, x, k, depth, output, to);
                default -> {
                    for (int p = 0; p < PackedMatrix.STRIP; p++) {
                        unpackFloat16s(matrix.shorts, at + p * next, depth * LANES, scratch.weights, p * depth * LANES);
                    }
                    multiplyFloats(scratch.weights, 0, depth * LANES, x, k, depth, output, to);
                }
            }
        }
    }

    private static void multiplyFloats(
            float[] w, int at, int next, float[] x, int k, int depth, float[] output, int to) {
        FloatVector a = FloatVector.zero(F);
        FloatVector b = FloatVector.zero(F);
        FloatVector c = FloatVector.zero(F);
        FloatVector d = FloatVector.zero(F);
        for (int i = 0; i < depth; i++) {
            FloatVector v = FloatVector.broadcast(F, x[k + i]);
            a = FloatVector.fromArray(F, w, at + i * LANES).fma(v, a);
            b = FloatVector.fromArray(F, w, at + i * LANES + next).fma(v, b);
            c = FloatVector.fromArray(F, w, at + i * LANES + 2 * next).fma(v, c);
            d = FloatVector.fromArray(F, w, at + i * LANES + 3 * next).fma(v, d);
        }
        FloatVector.fromArray(F, output, to).add(a).intoArray(output, to);
        FloatVector.fromArray(F, output, to + LANES).add(b).intoArray(output, to + LANES);
        FloatVector.fromArray(F, output, to + 2 * LANES).add(c).intoArray(output, to + 2 * LANES);
        FloatVector.fromArray(F, output, to + 3 * LANES).add(d).intoArray(output, to + 3 * LANES);
    }

    private static void multiplyBfloat16s(
            short[] w, int at, int next, float[] x, int k, int depth, float[] output, int to) {
        FloatVector a = FloatVector.zero(F);
        FloatVector b = FloatVector.zero(F);
        FloatVector c = FloatVector.zero(F);
        FloatVector d = FloatVector.zero(F);
        for (int i = 0; i < depth; i++) {
            FloatVector v = FloatVector.broadcast(F, x[k + i]);
            a = ((IntVector) ShortVector.fromArray(S, w, at + i * LANES).convertShape(VectorOperators.S2I, I, 0))
                    .lanewise(VectorOperators.LSHL, 16)
                    .reinterpretAsFloats()
                    .fma(v, a);
            b = ((IntVector) ShortVector.fromArray(S, w, at + i * LANES + next).convertShape(VectorOperators.S2I, I, 0))
                    .lanewise(VectorOperators.LSHL, 16)
                    .reinterpretAsFloats()
                    .fma(v, b);
            c = ((IntVector) ShortVector.fromArray(S, w, at + i * LANES + 2 * next)
                            .convertShape(VectorOperators.S2I, I, 0))
                    .lanewise(VectorOperators.LSHL, 16)
                    .reinterpretAsFloats()
                    .fma(v, c);
            d = ((IntVector) ShortVector.fromArray(S, w, at + i * LANES + 3 * next)
                            .convertShape(VectorOperators.S2I, I, 0))
                    .lanewise(VectorOperators.LSHL, 16)
                    .reinterpretAsFloats()
                    .fma(v, d);
        }
        FloatVector.fromArray(F, output, to).add(a).intoArray(output, to);
        FloatVector.fromArray(F, output, to + LANES).add(b).intoArray(output, to + LANES);
        FloatVector.fromArray(F, output, to + 2 * LANES).add(c).intoArray(output, to + 2 * LANES);
        FloatVector.fromArray(F, output, to + 3 * LANES).add(d).intoArray(output, to + 3 * LANES);
    }

    private static void multiplySplit(PackedMatrix matrix, int panel, float[] x, float[] output, byte[] levels) {
        int next = MatrixScratch.COLUMNS * LANES;
        for (int column = 0; column < matrix.columns; column += MatrixScratch.COLUMNS) {
            int count = Math.min(MatrixScratch.COLUMNS, matrix.columns - column);
            for (int p = 0; p < PackedMatrix.STRIP; p++) {
                joinLevels(matrix, panel + p, column, count, levels, p * next);
            }
            multiplyBytes(matrix, panel, levels, 0, next, column, count, x, output);
        }
    }

    /** Some columns of four panels, whose levels are at {@code w[at…]}, {@code next} apart; added to the output unless they are the first. */
    private static void multiplyBytes(
            PackedMatrix matrix,
            int panel,
            byte[] w,
            int at,
            int next,
            int column,
            int count,
            float[] x,
            float[] output) {
        int block = matrix.block;
        int blocks = matrix.blocks();
        int nextScale = blocks * LANES;
        int to = panel * LANES;
        if (column == 0) {
            Arrays.fill(output, to, to + PackedMatrix.STRIP * LANES, 0);
        }
        FloatVector o0 = FloatVector.fromArray(F, output, to);
        FloatVector o1 = FloatVector.fromArray(F, output, to + LANES);
        FloatVector o2 = FloatVector.fromArray(F, output, to + 2 * LANES);
        FloatVector o3 = FloatVector.fromArray(F, output, to + 3 * LANES);
        for (int b = 0; b < count / block; b++) {
            FloatVector a0 = FloatVector.zero(F);
            FloatVector a1 = FloatVector.zero(F);
            FloatVector a2 = FloatVector.zero(F);
            FloatVector a3 = FloatVector.zero(F);
            int k = column + b * block;
            int from = at + b * block * LANES;
            for (int i = 0; i < block; i++) {
                FloatVector v = FloatVector.broadcast(F, x[k + i]);
                FloatVector w0 = (FloatVector)
                        ByteVector.fromArray(B, w, from + i * LANES).convertShape(VectorOperators.B2F, F, 0);
                a0 = w0.fma(v, a0);
                FloatVector w1 = (FloatVector)
                        ByteVector.fromArray(B, w, from + i * LANES + next).convertShape(VectorOperators.B2F, F, 0);
                a1 = w1.fma(v, a1);
                FloatVector w2 = (FloatVector)
                        ByteVector.fromArray(B, w, from + i * LANES + 2 * next).convertShape(VectorOperators.B2F, F, 0);
                a2 = w2.fma(v, a2);
                FloatVector w3 = (FloatVector)
                        ByteVector.fromArray(B, w, from + i * LANES + 3 * next).convertShape(VectorOperators.B2F, F, 0);
                a3 = w3.fma(v, a3);
            }
            int scale = (panel * blocks + column / block + b) * LANES;
            o0 = FloatVector.fromArray(F, matrix.scales, scale).fma(a0, o0);
            o1 = FloatVector.fromArray(F, matrix.scales, scale + nextScale).fma(a1, o1);
            o2 = FloatVector.fromArray(F, matrix.scales, scale + 2 * nextScale).fma(a2, o2);
            o3 = FloatVector.fromArray(F, matrix.scales, scale + 3 * nextScale).fma(a3, o3);
        }
        o0.intoArray(output, to);
        o1.intoArray(output, to + LANES);
        o2.intoArray(output, to + 2 * LANES);
        o3.intoArray(output, to + 3 * LANES);
    }

    /** Two panels: with more, registers run out. */
    private static void multiplyNibbles(PackedMatrix matrix, int panel, float[] x, float[] output) {
        int[] w = matrix.nibbles;
        int next = matrix.columns / 8 * LANES;
        int block = matrix.block;
        int blocks = matrix.blocks();
        int nextScale = blocks * LANES;
        FloatVector o0 = FloatVector.zero(F);
        FloatVector o1 = FloatVector.zero(F);
        for (int b = 0; b < blocks; b++) {
            FloatVector a0 = FloatVector.zero(F);
            FloatVector a1 = FloatVector.zero(F);
            int k = b * block;
            int at = panel * next + k / 8 * LANES;
            for (int i = 0; i < block / 8; i++) {
                IntVector w0 = IntVector.fromArray(I, w, at + i * LANES);
                IntVector w1 = IntVector.fromArray(I, w, at + i * LANES + next);
                for (int j = 0; j < 8; j++) {
                    FloatVector v = FloatVector.broadcast(F, x[k + 8 * i + j]);
                    a0 = ((FloatVector) w0.and(15).convertShape(VectorOperators.I2F, F, 0)).fma(v, a0);
                    a1 = ((FloatVector) w1.and(15).convertShape(VectorOperators.I2F, F, 0)).fma(v, a1);
                    w0 = w0.lanewise(VectorOperators.LSHR, 4);
                    w1 = w1.lanewise(VectorOperators.LSHR, 4);
                }
            }
            int scale = (panel * blocks + b) * LANES;
            o0 = FloatVector.fromArray(F, matrix.scales, scale).fma(a0, o0);
            o1 = FloatVector.fromArray(F, matrix.scales, scale + nextScale).fma(a1, o1);
        }
        o0.intoArray(output, panel * LANES);
        o1.intoArray(output, (panel + 1) * LANES);
    }

    /** Elements or levels of some columns of a panel as floats: [column][lane]. */
    private static void unpack(PackedMatrix matrix, int panel, int column, int count, MatrixScratch scratch, int to) {
        float[] target = scratch.weights;
        int from = (panel * matrix.columns + column) * LANES;
        int size = count * LANES;
        switch (matrix.layout) {
            case FLOAT -> System.arraycopy(matrix.floats, from, target, to, size);
            case BFLOAT16 -> {
                for (int i = 0; i < size; i += LANES) {
                    ((IntVector) ShortVector.fromArray(S, matrix.shorts, from + i)
                                    .convertShape(VectorOperators.S2I, I, 0))
                            .lanewise(VectorOperators.LSHL, 16)
                            .reinterpretAsFloats()
                            .intoArray(target, to + i);
                }
            }
            case FLOAT16 -> unpackFloat16s(matrix.shorts, from, size, target, to);
            case BYTES -> unpackBytes(matrix.bytes, from, size, target, to);
            case NIBBLES -> unpackNibbles(matrix.nibbles, from / 8, count, target, to);
            case SPLIT -> {
                joinLevels(matrix, panel, column, count, scratch.levels, 0);
                unpackBytes(scratch.levels, 0, size, target, to);
            }
        }
    }

    private static void unpackBytes(byte[] source, int from, int size, float[] target, int to) {
        for (int i = 0; i < size; i += LANES) {
            ((FloatVector) ByteVector.fromArray(B, source, from + i).convertShape(VectorOperators.B2F, F, 0))
                    .intoArray(target, to + i);
        }
    }

    private static void unpackNibbles(int[] source, int from, int columns, float[] target, int to) {
        for (int i = 0; i < columns / 8; i++) {
            IntVector w = IntVector.fromArray(I, source, from + i * LANES);
            for (int j = 0; j < 8; j++) {
                IntVector level = w.lanewise(VectorOperators.LSHR, 4 * j).and(15);
                ((FloatVector) level.convertShape(VectorOperators.I2F, F, 0))
                        .intoArray(target, to + (8 * i + j) * LANES);
            }
        }
    }

    /** Puts levels of 5 or 6 bits together as bytes, eight columns at a time. */
    private static void joinLevels(PackedMatrix matrix, int panel, int column, int count, byte[] target, int to) {
        byte[] highs = matrix.highs;
        byte[] lows = matrix.lows;
        int bits = matrix.lowBits;
        int mask = 0x01010101 * ((1 << bits) - 1);
        int eights = 4 / bits;
        int from = (panel * matrix.columns + column) * LANES;
        for (int g = 0; g < count / 8 / eights; g++) {
            IntVector low = ByteVector.fromArray(QUAD, lows, from / 8 * bits + g * QUAD_BYTES)
                    .reinterpretAsInts();
            for (int i = g * eights; i < (g + 1) * eights; i++) {
                IntVector high = ByteVector.fromArray(QUAD, highs, from / 2 + i * QUAD_BYTES)
                        .reinterpretAsInts();
                high.and(0x0f0f0f0f)
                        .lanewise(VectorOperators.LSHL, bits)
                        .or(low.and(mask))
                        .reinterpretAsBytes()
                        .intoArray(target, to + 2 * i * QUAD_BYTES);
                low = low.lanewise(VectorOperators.LSHR, bits);
                high.lanewise(VectorOperators.LSHR, 4)
                        .and(0x0f0f0f0f)
                        .lanewise(VectorOperators.LSHL, bits)
                        .or(low.and(mask))
                        .reinterpretAsBytes()
                        .intoArray(target, to + (2 * i + 1) * QUAD_BYTES);
                low = low.lanewise(VectorOperators.LSHR, bits);
            }
        }
    }

    /** The bits moved to a float's places, then 2^112 for the other exponent bias; subnormals come out right too. */
    private static void unpackFloat16s(short[] source, int from, int size, float[] target, int to) {
        for (int i = 0; i < size; i += LANES) {
            IntVector bits =
                    (IntVector) ShortVector.fromArray(S, source, from + i).convertShape(VectorOperators.S2I, I, 0);
            IntVector magnitude = bits.and(0x7fff).lanewise(VectorOperators.LSHL, 13);
            IntVector sign = bits.and(0x80000000);
            magnitude.or(sign).reinterpretAsFloats().mul(0x1p112f).intoArray(target, to + i);
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
        return VectorKernels.sumLanes(sum) + rest;
    }

    @Override
    public void swiGlu(float[] gate, float[] up, int from, int count, float[] target, int to) {
        int i = 0;
        for (; i + LANES <= count; i += LANES) {
            FloatVector g = FloatVector.fromArray(F, gate, from + i);
            FloatVector silu = g.div(VectorKernels.exp(g.neg()).add(1));
            silu.mul(FloatVector.fromArray(F, up, from + i)).intoArray(target, to + i);
        }
        for (; i < count; i++) {
            float g = gate[from + i];
            target[to + i] = g / (1 + Exp.exp(-g)) * up[from + i];
        }
    }
}
