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

/**
 * {@link MatrixKernels} on the Vector API; see {@link VectorKernels}. A panel has four vectors of rows. One token and a tile of several
 * are multiplied by the same arithmetic, so that a token's result never depends on the others of its step.
 *
 * <p>The long kernels repeat lines on purpose: with methods for these, HotSpot 17 halved the speed of prefill and decoded Q4_0 at a
 * sixth.
 */
final class VectorMatrixKernels implements MatrixKernels {

    private static final VectorSpecies<Byte> WHOLE_BYTES = VectorSpecies.of(byte.class, F.vectorShape());

    /** Columns of levels that are read ahead of their product: a few KB. Reading while the columns before are multiplied was slower. */
    private static final int AHEAD = 64;

    /** Rows of a panel: four vectors. */
    private static final int HEIGHT = 4 * LANES;

    /** Tokens of the register tile. */
    private static final int TILE = 6;

    /** Whether the sums of {@link #TILE} tokens × 4 vectors fit into registers: AVX has 16, AVX-512 and NEON have 32. */
    private static final boolean WIDE_TILE = LANES != 8;

    /**
     * Four bits at these places of a float between 16 and 32 are its distance from 16: levels become floats without a conversion. What is too
     * much by 16 is taken off with the zero point.
     */
    private static final int NIBBLE_MASK = 0x00780000;

    private static final int SIXTEEN = 0x41800000;
    /** Where the lowest bit of {@link #NIBBLE_MASK} is. */
    private static final int NIBBLE_SHIFT = 19;
    /** Nibbles of an int that stand at or below that place. */
    private static final int LOW_NIBBLES = 5;

    @Override
    public int lanes() {
        return HEIGHT;
    }

    @Override
    public int tile() {
        return TILE;
    }

    @Override
    public void multiply(
            PackedMatrix matrix, int panel, MatrixInput input, float[] output, int stride, MatrixScratch scratch) {
        if (input.tokens() == 1) {
            Arrays.fill(output, panel * HEIGHT, (panel + 1) * HEIGHT, 0);
            multiplyVector(matrix, panel, input, output, scratch);
            addMins(matrix, panel, input, output, panel * HEIGHT);
            return;
        }
        float[] sums = scratch.sums(input.tokens());
        Arrays.fill(sums, 0, input.tokens() * HEIGHT, 0);
        multiplyTiles(matrix, panel, input, sums, scratch);
        addMins(matrix, panel, input, sums, 0);
        for (int t = 0; t < input.tokens(); t++) {
            System.arraycopy(sums, t * HEIGHT, output, t * stride + panel * HEIGHT, HEIGHT);
        }
    }

    /** What the sums of a block begin with: the inputs times what all unpacked levels are too large by. */
    private static float start(PackedMatrix matrix, MatrixInput input, int token, int block) {
        int excess = matrix.zeroPoint + (matrix.layout == PackedMatrix.Layout.NIBBLES ? 16 : 0);
        return excess == 0 ? 0 : -excess * input.sum(token, block, matrix.block);
    }

    private static void multiplyTiles(
            PackedMatrix matrix, int panel, MatrixInput input, float[] output, MatrixScratch scratch) {
        int tokens = input.tokens();
        float[] w = scratch.weights;
        for (int column = 0; column < matrix.columns; column += MatrixScratch.COLUMNS) {
            int count = Math.min(MatrixScratch.COLUMNS, matrix.columns - column);
            matrix.prefetch(scratch.prefetcher, panel, column, count);
            unpack(matrix, panel, column, count, scratch);
            int t = 0;
            for (; t + TILE <= tokens; t += TILE) {
                if (WIDE_TILE) {
                    multiply6(matrix, panel, column, count, input, t, w, output);
                } else {
                    multiplyHalf6(matrix, panel, 0, column, count, input, t, w, output);
                    multiplyHalf6(matrix, panel, 2 * LANES, column, count, input, t, w, output);
                }
            }
            for (; t + 2 <= tokens; t += 2) {
                multiply2(matrix, panel, column, count, input, t, w, output);
            }
            if (t < tokens) {
                multiply1(matrix, panel, column, count, input, t, w, output);
            }
        }
    }

    /** Six tokens × a panel of unpacked columns, added to the output: the sums of a block stay in registers, hence so long. */
    private static void multiply6(
            PackedMatrix matrix,
            int panel,
            int column,
            int count,
            MatrixInput input,
            int token,
            float[] w,
            float[] output) {
        int block = matrix.block;
        float[] x = input.tiles();
        int to = token * HEIGHT;
        for (int k = 0; k < count; k += block) {
            int depth = Math.min(block, count - k);
            int b = (column + k) / block;
            float startA = start(matrix, input, token, b);
            FloatVector a0 = FloatVector.broadcast(F, startA);
            FloatVector a1 = FloatVector.broadcast(F, startA);
            FloatVector a2 = FloatVector.broadcast(F, startA);
            FloatVector a3 = FloatVector.broadcast(F, startA);
            float startB = start(matrix, input, token + 1, b);
            FloatVector b0 = FloatVector.broadcast(F, startB);
            FloatVector b1 = FloatVector.broadcast(F, startB);
            FloatVector b2 = FloatVector.broadcast(F, startB);
            FloatVector b3 = FloatVector.broadcast(F, startB);
            float startC = start(matrix, input, token + 2, b);
            FloatVector c0 = FloatVector.broadcast(F, startC);
            FloatVector c1 = FloatVector.broadcast(F, startC);
            FloatVector c2 = FloatVector.broadcast(F, startC);
            FloatVector c3 = FloatVector.broadcast(F, startC);
            float startD = start(matrix, input, token + 3, b);
            FloatVector d0 = FloatVector.broadcast(F, startD);
            FloatVector d1 = FloatVector.broadcast(F, startD);
            FloatVector d2 = FloatVector.broadcast(F, startD);
            FloatVector d3 = FloatVector.broadcast(F, startD);
            float startE = start(matrix, input, token + 4, b);
            FloatVector e0 = FloatVector.broadcast(F, startE);
            FloatVector e1 = FloatVector.broadcast(F, startE);
            FloatVector e2 = FloatVector.broadcast(F, startE);
            FloatVector e3 = FloatVector.broadcast(F, startE);
            float startF = start(matrix, input, token + 5, b);
            FloatVector f0 = FloatVector.broadcast(F, startF);
            FloatVector f1 = FloatVector.broadcast(F, startF);
            FloatVector f2 = FloatVector.broadcast(F, startF);
            FloatVector f3 = FloatVector.broadcast(F, startF);
            int first = k * HEIGHT;
            int in = input.tileIndex(token, column + k, TILE);
            for (int i = 0; i < depth; i++) {
                FloatVector w0 = FloatVector.fromArray(F, w, first + i * HEIGHT);
                FloatVector w1 = FloatVector.fromArray(F, w, first + i * HEIGHT + LANES);
                FloatVector w2 = FloatVector.fromArray(F, w, first + i * HEIGHT + 2 * LANES);
                FloatVector w3 = FloatVector.fromArray(F, w, first + i * HEIGHT + 3 * LANES);
                FloatVector v = FloatVector.broadcast(F, x[in + i * TILE]);
                a0 = w0.fma(v, a0);
                a1 = w1.fma(v, a1);
                a2 = w2.fma(v, a2);
                a3 = w3.fma(v, a3);
                v = FloatVector.broadcast(F, x[in + i * TILE + 1]);
                b0 = w0.fma(v, b0);
                b1 = w1.fma(v, b1);
                b2 = w2.fma(v, b2);
                b3 = w3.fma(v, b3);
                v = FloatVector.broadcast(F, x[in + i * TILE + 2]);
                c0 = w0.fma(v, c0);
                c1 = w1.fma(v, c1);
                c2 = w2.fma(v, c2);
                c3 = w3.fma(v, c3);
                v = FloatVector.broadcast(F, x[in + i * TILE + 3]);
                d0 = w0.fma(v, d0);
                d1 = w1.fma(v, d1);
                d2 = w2.fma(v, d2);
                d3 = w3.fma(v, d3);
                v = FloatVector.broadcast(F, x[in + i * TILE + 4]);
                e0 = w0.fma(v, e0);
                e1 = w1.fma(v, e1);
                e2 = w2.fma(v, e2);
                e3 = w3.fma(v, e3);
                v = FloatVector.broadcast(F, x[in + i * TILE + 5]);
                f0 = w0.fma(v, f0);
                f1 = w1.fma(v, f1);
                f2 = w2.fma(v, f2);
                f3 = w3.fma(v, f3);
            }
            int scale = (panel * matrix.blocks() + b) * HEIGHT;
            FloatVector s0 = FloatVector.fromArray(F, matrix.scales, scale);
            FloatVector s1 = FloatVector.fromArray(F, matrix.scales, scale + LANES);
            FloatVector s2 = FloatVector.fromArray(F, matrix.scales, scale + 2 * LANES);
            FloatVector s3 = FloatVector.fromArray(F, matrix.scales, scale + 3 * LANES);
            s0.fma(a0, FloatVector.fromArray(F, output, to)).intoArray(output, to);
            s1.fma(a1, FloatVector.fromArray(F, output, to + LANES)).intoArray(output, to + LANES);
            s2.fma(a2, FloatVector.fromArray(F, output, to + 2 * LANES)).intoArray(output, to + 2 * LANES);
            s3.fma(a3, FloatVector.fromArray(F, output, to + 3 * LANES)).intoArray(output, to + 3 * LANES);
            s0.fma(b0, FloatVector.fromArray(F, output, to + HEIGHT)).intoArray(output, to + HEIGHT);
            s1.fma(b1, FloatVector.fromArray(F, output, to + HEIGHT + LANES)).intoArray(output, to + HEIGHT + LANES);
            s2.fma(b2, FloatVector.fromArray(F, output, to + HEIGHT + 2 * LANES))
                    .intoArray(output, to + HEIGHT + 2 * LANES);
            s3.fma(b3, FloatVector.fromArray(F, output, to + HEIGHT + 3 * LANES))
                    .intoArray(output, to + HEIGHT + 3 * LANES);
            s0.fma(c0, FloatVector.fromArray(F, output, to + 2 * HEIGHT)).intoArray(output, to + 2 * HEIGHT);
            s1.fma(c1, FloatVector.fromArray(F, output, to + 2 * HEIGHT + LANES))
                    .intoArray(output, to + 2 * HEIGHT + LANES);
            s2.fma(c2, FloatVector.fromArray(F, output, to + 2 * HEIGHT + 2 * LANES))
                    .intoArray(output, to + 2 * HEIGHT + 2 * LANES);
            s3.fma(c3, FloatVector.fromArray(F, output, to + 2 * HEIGHT + 3 * LANES))
                    .intoArray(output, to + 2 * HEIGHT + 3 * LANES);
            s0.fma(d0, FloatVector.fromArray(F, output, to + 3 * HEIGHT)).intoArray(output, to + 3 * HEIGHT);
            s1.fma(d1, FloatVector.fromArray(F, output, to + 3 * HEIGHT + LANES))
                    .intoArray(output, to + 3 * HEIGHT + LANES);
            s2.fma(d2, FloatVector.fromArray(F, output, to + 3 * HEIGHT + 2 * LANES))
                    .intoArray(output, to + 3 * HEIGHT + 2 * LANES);
            s3.fma(d3, FloatVector.fromArray(F, output, to + 3 * HEIGHT + 3 * LANES))
                    .intoArray(output, to + 3 * HEIGHT + 3 * LANES);
            s0.fma(e0, FloatVector.fromArray(F, output, to + 4 * HEIGHT)).intoArray(output, to + 4 * HEIGHT);
            s1.fma(e1, FloatVector.fromArray(F, output, to + 4 * HEIGHT + LANES))
                    .intoArray(output, to + 4 * HEIGHT + LANES);
            s2.fma(e2, FloatVector.fromArray(F, output, to + 4 * HEIGHT + 2 * LANES))
                    .intoArray(output, to + 4 * HEIGHT + 2 * LANES);
            s3.fma(e3, FloatVector.fromArray(F, output, to + 4 * HEIGHT + 3 * LANES))
                    .intoArray(output, to + 4 * HEIGHT + 3 * LANES);
            s0.fma(f0, FloatVector.fromArray(F, output, to + 5 * HEIGHT)).intoArray(output, to + 5 * HEIGHT);
            s1.fma(f1, FloatVector.fromArray(F, output, to + 5 * HEIGHT + LANES))
                    .intoArray(output, to + 5 * HEIGHT + LANES);
            s2.fma(f2, FloatVector.fromArray(F, output, to + 5 * HEIGHT + 2 * LANES))
                    .intoArray(output, to + 5 * HEIGHT + 2 * LANES);
            s3.fma(f3, FloatVector.fromArray(F, output, to + 5 * HEIGHT + 3 * LANES))
                    .intoArray(output, to + 5 * HEIGHT + 3 * LANES);
        }
    }

    /** Six tokens × half of a panel, from its row {@code lane} on. */
    private static void multiplyHalf6(
            PackedMatrix matrix,
            int panel,
            int lane,
            int column,
            int count,
            MatrixInput input,
            int token,
            float[] w,
            float[] output) {
        int block = matrix.block;
        float[] x = input.tiles();
        int to = token * HEIGHT + lane;
        for (int k = 0; k < count; k += block) {
            int depth = Math.min(block, count - k);
            int b = (column + k) / block;
            float startA = start(matrix, input, token, b);
            FloatVector a0 = FloatVector.broadcast(F, startA);
            FloatVector a1 = FloatVector.broadcast(F, startA);
            float startB = start(matrix, input, token + 1, b);
            FloatVector b0 = FloatVector.broadcast(F, startB);
            FloatVector b1 = FloatVector.broadcast(F, startB);
            float startC = start(matrix, input, token + 2, b);
            FloatVector c0 = FloatVector.broadcast(F, startC);
            FloatVector c1 = FloatVector.broadcast(F, startC);
            float startD = start(matrix, input, token + 3, b);
            FloatVector d0 = FloatVector.broadcast(F, startD);
            FloatVector d1 = FloatVector.broadcast(F, startD);
            float startE = start(matrix, input, token + 4, b);
            FloatVector e0 = FloatVector.broadcast(F, startE);
            FloatVector e1 = FloatVector.broadcast(F, startE);
            float startF = start(matrix, input, token + 5, b);
            FloatVector f0 = FloatVector.broadcast(F, startF);
            FloatVector f1 = FloatVector.broadcast(F, startF);
            int first = k * HEIGHT + lane;
            int in = input.tileIndex(token, column + k, TILE);
            for (int i = 0; i < depth; i++) {
                FloatVector w0 = FloatVector.fromArray(F, w, first + i * HEIGHT);
                FloatVector w1 = FloatVector.fromArray(F, w, first + i * HEIGHT + LANES);
                FloatVector v = FloatVector.broadcast(F, x[in + i * TILE]);
                a0 = w0.fma(v, a0);
                a1 = w1.fma(v, a1);
                v = FloatVector.broadcast(F, x[in + i * TILE + 1]);
                b0 = w0.fma(v, b0);
                b1 = w1.fma(v, b1);
                v = FloatVector.broadcast(F, x[in + i * TILE + 2]);
                c0 = w0.fma(v, c0);
                c1 = w1.fma(v, c1);
                v = FloatVector.broadcast(F, x[in + i * TILE + 3]);
                d0 = w0.fma(v, d0);
                d1 = w1.fma(v, d1);
                v = FloatVector.broadcast(F, x[in + i * TILE + 4]);
                e0 = w0.fma(v, e0);
                e1 = w1.fma(v, e1);
                v = FloatVector.broadcast(F, x[in + i * TILE + 5]);
                f0 = w0.fma(v, f0);
                f1 = w1.fma(v, f1);
            }
            int scale = (panel * matrix.blocks() + b) * HEIGHT + lane;
            FloatVector s0 = FloatVector.fromArray(F, matrix.scales, scale);
            FloatVector s1 = FloatVector.fromArray(F, matrix.scales, scale + LANES);
            s0.fma(a0, FloatVector.fromArray(F, output, to)).intoArray(output, to);
            s1.fma(a1, FloatVector.fromArray(F, output, to + LANES)).intoArray(output, to + LANES);
            s0.fma(b0, FloatVector.fromArray(F, output, to + HEIGHT)).intoArray(output, to + HEIGHT);
            s1.fma(b1, FloatVector.fromArray(F, output, to + HEIGHT + LANES)).intoArray(output, to + HEIGHT + LANES);
            s0.fma(c0, FloatVector.fromArray(F, output, to + 2 * HEIGHT)).intoArray(output, to + 2 * HEIGHT);
            s1.fma(c1, FloatVector.fromArray(F, output, to + 2 * HEIGHT + LANES))
                    .intoArray(output, to + 2 * HEIGHT + LANES);
            s0.fma(d0, FloatVector.fromArray(F, output, to + 3 * HEIGHT)).intoArray(output, to + 3 * HEIGHT);
            s1.fma(d1, FloatVector.fromArray(F, output, to + 3 * HEIGHT + LANES))
                    .intoArray(output, to + 3 * HEIGHT + LANES);
            s0.fma(e0, FloatVector.fromArray(F, output, to + 4 * HEIGHT)).intoArray(output, to + 4 * HEIGHT);
            s1.fma(e1, FloatVector.fromArray(F, output, to + 4 * HEIGHT + LANES))
                    .intoArray(output, to + 4 * HEIGHT + LANES);
            s0.fma(f0, FloatVector.fromArray(F, output, to + 5 * HEIGHT)).intoArray(output, to + 5 * HEIGHT);
            s1.fma(f1, FloatVector.fromArray(F, output, to + 5 * HEIGHT + LANES))
                    .intoArray(output, to + 5 * HEIGHT + LANES);
        }
    }

    private static void multiply2(
            PackedMatrix matrix,
            int panel,
            int column,
            int count,
            MatrixInput input,
            int token,
            float[] w,
            float[] output) {
        int block = matrix.block;
        float[] x = input.tiles();
        int to = token * HEIGHT;
        for (int k = 0; k < count; k += block) {
            int depth = Math.min(block, count - k);
            int b = (column + k) / block;
            float startA = start(matrix, input, token, b);
            FloatVector a0 = FloatVector.broadcast(F, startA);
            FloatVector a1 = FloatVector.broadcast(F, startA);
            FloatVector a2 = FloatVector.broadcast(F, startA);
            FloatVector a3 = FloatVector.broadcast(F, startA);
            float startB = start(matrix, input, token + 1, b);
            FloatVector b0 = FloatVector.broadcast(F, startB);
            FloatVector b1 = FloatVector.broadcast(F, startB);
            FloatVector b2 = FloatVector.broadcast(F, startB);
            FloatVector b3 = FloatVector.broadcast(F, startB);
            int first = k * HEIGHT;
            int in = input.tileIndex(token, column + k, TILE);
            for (int i = 0; i < depth; i++) {
                FloatVector w0 = FloatVector.fromArray(F, w, first + i * HEIGHT);
                FloatVector w1 = FloatVector.fromArray(F, w, first + i * HEIGHT + LANES);
                FloatVector w2 = FloatVector.fromArray(F, w, first + i * HEIGHT + 2 * LANES);
                FloatVector w3 = FloatVector.fromArray(F, w, first + i * HEIGHT + 3 * LANES);
                FloatVector v = FloatVector.broadcast(F, x[in + i * TILE]);
                a0 = w0.fma(v, a0);
                a1 = w1.fma(v, a1);
                a2 = w2.fma(v, a2);
                a3 = w3.fma(v, a3);
                v = FloatVector.broadcast(F, x[in + i * TILE + 1]);
                b0 = w0.fma(v, b0);
                b1 = w1.fma(v, b1);
                b2 = w2.fma(v, b2);
                b3 = w3.fma(v, b3);
            }
            int scale = (panel * matrix.blocks() + b) * HEIGHT;
            FloatVector s0 = FloatVector.fromArray(F, matrix.scales, scale);
            FloatVector s1 = FloatVector.fromArray(F, matrix.scales, scale + LANES);
            FloatVector s2 = FloatVector.fromArray(F, matrix.scales, scale + 2 * LANES);
            FloatVector s3 = FloatVector.fromArray(F, matrix.scales, scale + 3 * LANES);
            s0.fma(a0, FloatVector.fromArray(F, output, to)).intoArray(output, to);
            s1.fma(a1, FloatVector.fromArray(F, output, to + LANES)).intoArray(output, to + LANES);
            s2.fma(a2, FloatVector.fromArray(F, output, to + 2 * LANES)).intoArray(output, to + 2 * LANES);
            s3.fma(a3, FloatVector.fromArray(F, output, to + 3 * LANES)).intoArray(output, to + 3 * LANES);
            s0.fma(b0, FloatVector.fromArray(F, output, to + HEIGHT)).intoArray(output, to + HEIGHT);
            s1.fma(b1, FloatVector.fromArray(F, output, to + HEIGHT + LANES)).intoArray(output, to + HEIGHT + LANES);
            s2.fma(b2, FloatVector.fromArray(F, output, to + HEIGHT + 2 * LANES))
                    .intoArray(output, to + HEIGHT + 2 * LANES);
            s3.fma(b3, FloatVector.fromArray(F, output, to + HEIGHT + 3 * LANES))
                    .intoArray(output, to + HEIGHT + 3 * LANES);
        }
    }

    private static void multiply1(
            PackedMatrix matrix,
            int panel,
            int column,
            int count,
            MatrixInput input,
            int token,
            float[] w,
            float[] output) {
        int block = matrix.block;
        float[] x = input.tiles();
        int to = token * HEIGHT;
        for (int k = 0; k < count; k += block) {
            int depth = Math.min(block, count - k);
            int b = (column + k) / block;
            float startA = start(matrix, input, token, b);
            FloatVector a0 = FloatVector.broadcast(F, startA);
            FloatVector a1 = FloatVector.broadcast(F, startA);
            FloatVector a2 = FloatVector.broadcast(F, startA);
            FloatVector a3 = FloatVector.broadcast(F, startA);
            int first = k * HEIGHT;
            int in = input.tileIndex(token, column + k, TILE);
            for (int i = 0; i < depth; i++) {
                FloatVector w0 = FloatVector.fromArray(F, w, first + i * HEIGHT);
                FloatVector w1 = FloatVector.fromArray(F, w, first + i * HEIGHT + LANES);
                FloatVector w2 = FloatVector.fromArray(F, w, first + i * HEIGHT + 2 * LANES);
                FloatVector w3 = FloatVector.fromArray(F, w, first + i * HEIGHT + 3 * LANES);
                FloatVector v = FloatVector.broadcast(F, x[in + i * TILE]);
                a0 = w0.fma(v, a0);
                a1 = w1.fma(v, a1);
                a2 = w2.fma(v, a2);
                a3 = w3.fma(v, a3);
            }
            int scale = (panel * matrix.blocks() + b) * HEIGHT;
            FloatVector s0 = FloatVector.fromArray(F, matrix.scales, scale);
            FloatVector s1 = FloatVector.fromArray(F, matrix.scales, scale + LANES);
            FloatVector s2 = FloatVector.fromArray(F, matrix.scales, scale + 2 * LANES);
            FloatVector s3 = FloatVector.fromArray(F, matrix.scales, scale + 3 * LANES);
            s0.fma(a0, FloatVector.fromArray(F, output, to)).intoArray(output, to);
            s1.fma(a1, FloatVector.fromArray(F, output, to + LANES)).intoArray(output, to + LANES);
            s2.fma(a2, FloatVector.fromArray(F, output, to + 2 * LANES)).intoArray(output, to + 2 * LANES);
            s3.fma(a3, FloatVector.fromArray(F, output, to + 3 * LANES)).intoArray(output, to + 3 * LANES);
        }
    }

    /** Adds what the minima make: for each block the minimum times the sum of its inputs. */
    private static void addMins(PackedMatrix matrix, int panel, MatrixInput input, float[] output, int to) {
        if (matrix.mins == null) {
            return;
        }
        for (int t = 0; t < input.tokens(); t++) {
            if (matrix.minLevels == null) {
                addMins(matrix, panel, input, t, output, to + t * HEIGHT);
            } else {
                addMinLevels(matrix, panel, input, t, output, to + t * HEIGHT);
            }
        }
    }

    /** All vectors of the panel at once, lest each addition wait for the last. */
    private static void addMins(PackedMatrix matrix, int panel, MatrixInput input, int token, float[] output, int to) {
        float[] mins = matrix.mins;
        int block = matrix.block;
        int blocks = matrix.blocks();
        FloatVector a = FloatVector.zero(F);
        FloatVector b = FloatVector.zero(F);
        FloatVector c = FloatVector.zero(F);
        FloatVector d = FloatVector.zero(F);
        for (int i = 0; i < blocks; i++) {
            int at = (panel * blocks + i) * HEIGHT;
            FloatVector v = FloatVector.broadcast(F, input.sum(token, i, block));
            a = FloatVector.fromArray(F, mins, at).fma(v, a);
            b = FloatVector.fromArray(F, mins, at + LANES).fma(v, b);
            c = FloatVector.fromArray(F, mins, at + 2 * LANES).fma(v, c);
            d = FloatVector.fromArray(F, mins, at + 3 * LANES).fma(v, d);
        }
        FloatVector.fromArray(F, output, to).add(a).intoArray(output, to);
        FloatVector.fromArray(F, output, to + LANES).add(b).intoArray(output, to + LANES);
        FloatVector.fromArray(F, output, to + 2 * LANES).add(c).intoArray(output, to + 2 * LANES);
        FloatVector.fromArray(F, output, to + 3 * LANES).add(d).intoArray(output, to + 3 * LANES);
    }

    private static void addMinLevels(
            PackedMatrix matrix, int panel, MatrixInput input, int token, float[] output, int to) {
        int blocks = matrix.blocks();
        int shared = matrix.minBlocks;
        for (int lane = 0; lane < HEIGHT; lane += LANES) {
            FloatVector sum = FloatVector.fromArray(F, output, to + lane);
            for (int s = 0; s < blocks / shared; s++) {
                int at = (panel * blocks + s * shared) * HEIGHT + lane;
                FloatVector levels = FloatVector.zero(F);
                for (int i = 0; i < shared; i++) {
                    FloatVector v = FloatVector.broadcast(F, input.sum(token, s * shared + i, matrix.block));
                    levels = ((FloatVector) ByteVector.fromArray(B, matrix.minLevels, at + i * HEIGHT)
                                    .convertShape(VectorOperators.B2F, F, 0))
                            .fma(v, levels);
                }
                sum = FloatVector.fromArray(F, matrix.mins, (panel * (blocks / shared) + s) * HEIGHT + lane)
                        .fma(levels, sum);
            }
            sum.intoArray(output, to + lane);
        }
    }

    /**
     * One token; the same arithmetic for a row as in tiles, with weights that are unpacked on the way. Reading ahead stands outside the kernels:
     * where the compiler makes a call of it, a kernel's vectors would have to wait in memory.
     */
    private static void multiplyVector(
            PackedMatrix matrix, int panel, MatrixInput input, float[] output, MatrixScratch scratch) {
        float[] x = input.values();
        int to = panel * HEIGHT;
        int step = matrix.quantized() ? AHEAD : matrix.block;
        for (int column = 0; column < matrix.columns; column += step) {
            int count = Math.min(step, matrix.columns - column);
            int at = (panel * matrix.columns + column) * HEIGHT;
            matrix.prefetch(scratch.prefetcher, panel, column, count);
            switch (matrix.layout) {
                case BYTES -> multiplyBytes(matrix, panel, matrix.bytes, at, column, count, input, output);
                case NIBBLES -> multiplyNibbles(matrix, panel, column, count, input, output);
                case SPLIT -> {
                    joinLevels(matrix, panel, column, count, scratch.levels);
                    multiplyBytes(matrix, panel, scratch.levels, 0, column, count, input, output);
                }
                case FLOAT -> multiplyFloats(matrix.floats, at, x, column, count, output, to);
                case BFLOAT16 -> multiplyBfloat16s(matrix.shorts, at, x, column, count, output, to);
                case FLOAT16 -> {
                    unpackFloat16s(matrix.shorts, at, count * HEIGHT, scratch.weights);
                    multiplyFloats(scratch.weights, 0, x, column, count, output, to);
                }
            }
        }
    }

    private static void multiplyFloats(float[] w, int at, float[] x, int k, int depth, float[] output, int to) {
        FloatVector a = FloatVector.zero(F);
        FloatVector b = FloatVector.zero(F);
        FloatVector c = FloatVector.zero(F);
        FloatVector d = FloatVector.zero(F);
        for (int i = 0; i < depth; i++) {
            FloatVector v = FloatVector.broadcast(F, x[k + i]);
            a = FloatVector.fromArray(F, w, at + i * HEIGHT).fma(v, a);
            b = FloatVector.fromArray(F, w, at + i * HEIGHT + LANES).fma(v, b);
            c = FloatVector.fromArray(F, w, at + i * HEIGHT + 2 * LANES).fma(v, c);
            d = FloatVector.fromArray(F, w, at + i * HEIGHT + 3 * LANES).fma(v, d);
        }
        FloatVector.fromArray(F, output, to).add(a).intoArray(output, to);
        FloatVector.fromArray(F, output, to + LANES).add(b).intoArray(output, to + LANES);
        FloatVector.fromArray(F, output, to + 2 * LANES).add(c).intoArray(output, to + 2 * LANES);
        FloatVector.fromArray(F, output, to + 3 * LANES).add(d).intoArray(output, to + 3 * LANES);
    }

    private static void multiplyBfloat16s(short[] w, int at, float[] x, int k, int depth, float[] output, int to) {
        FloatVector a = FloatVector.zero(F);
        FloatVector b = FloatVector.zero(F);
        FloatVector c = FloatVector.zero(F);
        FloatVector d = FloatVector.zero(F);
        for (int i = 0; i < depth; i++) {
            FloatVector v = FloatVector.broadcast(F, x[k + i]);
            a = ((IntVector) ShortVector.fromArray(S, w, at + i * HEIGHT).convertShape(VectorOperators.S2I, I, 0))
                    .lanewise(VectorOperators.LSHL, 16)
                    .reinterpretAsFloats()
                    .fma(v, a);
            b = ((IntVector) ShortVector.fromArray(S, w, at + i * HEIGHT + LANES)
                            .convertShape(VectorOperators.S2I, I, 0))
                    .lanewise(VectorOperators.LSHL, 16)
                    .reinterpretAsFloats()
                    .fma(v, b);
            c = ((IntVector) ShortVector.fromArray(S, w, at + i * HEIGHT + 2 * LANES)
                            .convertShape(VectorOperators.S2I, I, 0))
                    .lanewise(VectorOperators.LSHL, 16)
                    .reinterpretAsFloats()
                    .fma(v, c);
            d = ((IntVector) ShortVector.fromArray(S, w, at + i * HEIGHT + 3 * LANES)
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

    /** Some columns of a panel, whose levels are at {@code w[at…]}, added to the output. */
    private static void multiplyBytes(
            PackedMatrix matrix,
            int panel,
            byte[] w,
            int at,
            int column,
            int count,
            MatrixInput input,
            float[] output) {
        float[] x = input.values();
        int block = matrix.block;
        int to = panel * HEIGHT;
        FloatVector o0 = FloatVector.fromArray(F, output, to);
        FloatVector o1 = FloatVector.fromArray(F, output, to + LANES);
        FloatVector o2 = FloatVector.fromArray(F, output, to + 2 * LANES);
        FloatVector o3 = FloatVector.fromArray(F, output, to + 3 * LANES);
        for (int k = 0; k < count; k += block) {
            int b = (column + k) / block;
            float startA = start(matrix, input, 0, b);
            FloatVector a0 = FloatVector.broadcast(F, startA);
            FloatVector a1 = FloatVector.broadcast(F, startA);
            FloatVector a2 = FloatVector.broadcast(F, startA);
            FloatVector a3 = FloatVector.broadcast(F, startA);
            int from = at + k * HEIGHT;
            for (int i = 0; i < block; i++) {
                FloatVector v = FloatVector.broadcast(F, x[column + k + i]);
                FloatVector w0 = (FloatVector)
                        ByteVector.fromArray(B, w, from + i * HEIGHT).convertShape(VectorOperators.B2F, F, 0);
                a0 = w0.fma(v, a0);
                FloatVector w1 = (FloatVector)
                        ByteVector.fromArray(B, w, from + i * HEIGHT + LANES).convertShape(VectorOperators.B2F, F, 0);
                a1 = w1.fma(v, a1);
                FloatVector w2 = (FloatVector) ByteVector.fromArray(B, w, from + i * HEIGHT + 2 * LANES)
                        .convertShape(VectorOperators.B2F, F, 0);
                a2 = w2.fma(v, a2);
                FloatVector w3 = (FloatVector) ByteVector.fromArray(B, w, from + i * HEIGHT + 3 * LANES)
                        .convertShape(VectorOperators.B2F, F, 0);
                a3 = w3.fma(v, a3);
            }
            int scale = (panel * matrix.blocks() + b) * HEIGHT;
            o0 = FloatVector.fromArray(F, matrix.scales, scale).fma(a0, o0);
            o1 = FloatVector.fromArray(F, matrix.scales, scale + LANES).fma(a1, o1);
            o2 = FloatVector.fromArray(F, matrix.scales, scale + 2 * LANES).fma(a2, o2);
            o3 = FloatVector.fromArray(F, matrix.scales, scale + 3 * LANES).fma(a3, o3);
        }
        o0.intoArray(output, to);
        o1.intoArray(output, to + LANES);
        o2.intoArray(output, to + 2 * LANES);
        o3.intoArray(output, to + 3 * LANES);
    }

    /**
     * Eight nibbles are written out: in a loop over them, the compiler of JDK 17 puts the vectors on the heap. The constants stand first, so that
     * it makes one instruction of AND and OR whose result takes the place of the shifted nibbles instead of a copied constant's. Two blocks
     * at a time, for more sums that don't wait for each other, were slower.
     */
    private static void multiplyNibbles(
            PackedMatrix matrix, int panel, int column, int count, MatrixInput input, float[] output) {
        int[] w = matrix.nibbles;
        float[] x = input.values();
        int block = matrix.block;
        int to = panel * HEIGHT;
        IntVector sixteen = IntVector.broadcast(I, SIXTEEN);
        IntVector bits = IntVector.broadcast(I, SIXTEEN | NIBBLE_MASK);
        FloatVector o0 = FloatVector.fromArray(F, output, to);
        FloatVector o1 = FloatVector.fromArray(F, output, to + LANES);
        FloatVector o2 = FloatVector.fromArray(F, output, to + 2 * LANES);
        FloatVector o3 = FloatVector.fromArray(F, output, to + 3 * LANES);
        for (int k = column; k < column + count; k += block) {
            int b = k / block;
            float startA = start(matrix, input, 0, b);
            FloatVector a0 = FloatVector.broadcast(F, startA);
            FloatVector a1 = FloatVector.broadcast(F, startA);
            FloatVector a2 = FloatVector.broadcast(F, startA);
            FloatVector a3 = FloatVector.broadcast(F, startA);
            int at = (panel * matrix.columns + k) / 8 * HEIGHT;
            for (int i = 0; i < block / 8; i++) {
                IntVector w0 = IntVector.fromArray(I, w, at + i * HEIGHT);
                IntVector w1 = IntVector.fromArray(I, w, at + i * HEIGHT + LANES);
                IntVector w2 = IntVector.fromArray(I, w, at + i * HEIGHT + 2 * LANES);
                IntVector w3 = IntVector.fromArray(I, w, at + i * HEIGHT + 3 * LANES);
                FloatVector v = FloatVector.broadcast(F, x[k + 8 * i]);
                a0 = bits.and(sixteen.or(w0.lanewise(VectorOperators.LSHL, NIBBLE_SHIFT)))
                        .reinterpretAsFloats()
                        .fma(v, a0);
                a1 = bits.and(sixteen.or(w1.lanewise(VectorOperators.LSHL, NIBBLE_SHIFT)))
                        .reinterpretAsFloats()
                        .fma(v, a1);
                a2 = bits.and(sixteen.or(w2.lanewise(VectorOperators.LSHL, NIBBLE_SHIFT)))
                        .reinterpretAsFloats()
                        .fma(v, a2);
                a3 = bits.and(sixteen.or(w3.lanewise(VectorOperators.LSHL, NIBBLE_SHIFT)))
                        .reinterpretAsFloats()
                        .fma(v, a3);
                v = FloatVector.broadcast(F, x[k + 8 * i + 1]);
                a0 = bits.and(sixteen.or(w0.lanewise(VectorOperators.LSHL, NIBBLE_SHIFT - 4)))
                        .reinterpretAsFloats()
                        .fma(v, a0);
                a1 = bits.and(sixteen.or(w1.lanewise(VectorOperators.LSHL, NIBBLE_SHIFT - 4)))
                        .reinterpretAsFloats()
                        .fma(v, a1);
                a2 = bits.and(sixteen.or(w2.lanewise(VectorOperators.LSHL, NIBBLE_SHIFT - 4)))
                        .reinterpretAsFloats()
                        .fma(v, a2);
                a3 = bits.and(sixteen.or(w3.lanewise(VectorOperators.LSHL, NIBBLE_SHIFT - 4)))
                        .reinterpretAsFloats()
                        .fma(v, a3);
                v = FloatVector.broadcast(F, x[k + 8 * i + 2]);
                a0 = bits.and(sixteen.or(w0.lanewise(VectorOperators.LSHL, NIBBLE_SHIFT - 8)))
                        .reinterpretAsFloats()
                        .fma(v, a0);
                a1 = bits.and(sixteen.or(w1.lanewise(VectorOperators.LSHL, NIBBLE_SHIFT - 8)))
                        .reinterpretAsFloats()
                        .fma(v, a1);
                a2 = bits.and(sixteen.or(w2.lanewise(VectorOperators.LSHL, NIBBLE_SHIFT - 8)))
                        .reinterpretAsFloats()
                        .fma(v, a2);
                a3 = bits.and(sixteen.or(w3.lanewise(VectorOperators.LSHL, NIBBLE_SHIFT - 8)))
                        .reinterpretAsFloats()
                        .fma(v, a3);
                v = FloatVector.broadcast(F, x[k + 8 * i + 3]);
                a0 = bits.and(sixteen.or(w0.lanewise(VectorOperators.LSHL, NIBBLE_SHIFT - 12)))
                        .reinterpretAsFloats()
                        .fma(v, a0);
                a1 = bits.and(sixteen.or(w1.lanewise(VectorOperators.LSHL, NIBBLE_SHIFT - 12)))
                        .reinterpretAsFloats()
                        .fma(v, a1);
                a2 = bits.and(sixteen.or(w2.lanewise(VectorOperators.LSHL, NIBBLE_SHIFT - 12)))
                        .reinterpretAsFloats()
                        .fma(v, a2);
                a3 = bits.and(sixteen.or(w3.lanewise(VectorOperators.LSHL, NIBBLE_SHIFT - 12)))
                        .reinterpretAsFloats()
                        .fma(v, a3);
                v = FloatVector.broadcast(F, x[k + 8 * i + 4]);
                a0 = bits.and(sixteen.or(w0.lanewise(VectorOperators.LSHL, NIBBLE_SHIFT - 16)))
                        .reinterpretAsFloats()
                        .fma(v, a0);
                a1 = bits.and(sixteen.or(w1.lanewise(VectorOperators.LSHL, NIBBLE_SHIFT - 16)))
                        .reinterpretAsFloats()
                        .fma(v, a1);
                a2 = bits.and(sixteen.or(w2.lanewise(VectorOperators.LSHL, NIBBLE_SHIFT - 16)))
                        .reinterpretAsFloats()
                        .fma(v, a2);
                a3 = bits.and(sixteen.or(w3.lanewise(VectorOperators.LSHL, NIBBLE_SHIFT - 16)))
                        .reinterpretAsFloats()
                        .fma(v, a3);
                v = FloatVector.broadcast(F, x[k + 8 * i + 5]);
                a0 = bits.and(sixteen.or(w0.lanewise(VectorOperators.LSHR, 20 - NIBBLE_SHIFT)))
                        .reinterpretAsFloats()
                        .fma(v, a0);
                a1 = bits.and(sixteen.or(w1.lanewise(VectorOperators.LSHR, 20 - NIBBLE_SHIFT)))
                        .reinterpretAsFloats()
                        .fma(v, a1);
                a2 = bits.and(sixteen.or(w2.lanewise(VectorOperators.LSHR, 20 - NIBBLE_SHIFT)))
                        .reinterpretAsFloats()
                        .fma(v, a2);
                a3 = bits.and(sixteen.or(w3.lanewise(VectorOperators.LSHR, 20 - NIBBLE_SHIFT)))
                        .reinterpretAsFloats()
                        .fma(v, a3);
                v = FloatVector.broadcast(F, x[k + 8 * i + 6]);
                a0 = bits.and(sixteen.or(w0.lanewise(VectorOperators.LSHR, 24 - NIBBLE_SHIFT)))
                        .reinterpretAsFloats()
                        .fma(v, a0);
                a1 = bits.and(sixteen.or(w1.lanewise(VectorOperators.LSHR, 24 - NIBBLE_SHIFT)))
                        .reinterpretAsFloats()
                        .fma(v, a1);
                a2 = bits.and(sixteen.or(w2.lanewise(VectorOperators.LSHR, 24 - NIBBLE_SHIFT)))
                        .reinterpretAsFloats()
                        .fma(v, a2);
                a3 = bits.and(sixteen.or(w3.lanewise(VectorOperators.LSHR, 24 - NIBBLE_SHIFT)))
                        .reinterpretAsFloats()
                        .fma(v, a3);
                v = FloatVector.broadcast(F, x[k + 8 * i + 7]);
                a0 = bits.and(sixteen.or(w0.lanewise(VectorOperators.LSHR, 28 - NIBBLE_SHIFT)))
                        .reinterpretAsFloats()
                        .fma(v, a0);
                a1 = bits.and(sixteen.or(w1.lanewise(VectorOperators.LSHR, 28 - NIBBLE_SHIFT)))
                        .reinterpretAsFloats()
                        .fma(v, a1);
                a2 = bits.and(sixteen.or(w2.lanewise(VectorOperators.LSHR, 28 - NIBBLE_SHIFT)))
                        .reinterpretAsFloats()
                        .fma(v, a2);
                a3 = bits.and(sixteen.or(w3.lanewise(VectorOperators.LSHR, 28 - NIBBLE_SHIFT)))
                        .reinterpretAsFloats()
                        .fma(v, a3);
            }
            int scale = (panel * matrix.blocks() + b) * HEIGHT;
            o0 = FloatVector.fromArray(F, matrix.scales, scale).fma(a0, o0);
            o1 = FloatVector.fromArray(F, matrix.scales, scale + LANES).fma(a1, o1);
            o2 = FloatVector.fromArray(F, matrix.scales, scale + 2 * LANES).fma(a2, o2);
            o3 = FloatVector.fromArray(F, matrix.scales, scale + 3 * LANES).fma(a3, o3);
        }
        o0.intoArray(output, to);
        o1.intoArray(output, to + LANES);
        o2.intoArray(output, to + 2 * LANES);
        o3.intoArray(output, to + 3 * LANES);
    }

    /** Elements or levels of some columns of a panel as floats, nibbles with 16 added: [column][row]. */
    private static void unpack(PackedMatrix matrix, int panel, int column, int count, MatrixScratch scratch) {
        float[] target = scratch.weights;
        int from = (panel * matrix.columns + column) * HEIGHT;
        int size = count * HEIGHT;
        switch (matrix.layout) {
            case FLOAT -> System.arraycopy(matrix.floats, from, target, 0, size);
            case BFLOAT16 -> {
                for (int i = 0; i < size; i += LANES) {
                    ((IntVector) ShortVector.fromArray(S, matrix.shorts, from + i)
                                    .convertShape(VectorOperators.S2I, I, 0))
                            .lanewise(VectorOperators.LSHL, 16)
                            .reinterpretAsFloats()
                            .intoArray(target, i);
                }
            }
            case FLOAT16 -> unpackFloat16s(matrix.shorts, from, size, target);
            case BYTES -> unpackBytes(matrix.bytes, from, size, target);
            case NIBBLES -> unpackNibbles(matrix.nibbles, from / 8, count, target);
            case SPLIT -> {
                joinLevels(matrix, panel, column, count, scratch.levels);
                unpackBytes(scratch.levels, 0, size, target);
            }
        }
    }

    private static void unpackBytes(byte[] source, int from, int size, float[] target) {
        for (int i = 0; i < size; i += LANES) {
            ((FloatVector) ByteVector.fromArray(B, source, from + i).convertShape(VectorOperators.B2F, F, 0))
                    .intoArray(target, i);
        }
    }

    private static void unpackNibbles(int[] source, int from, int columns, float[] target) {
        for (int i = 0; i < columns / 8; i++) {
            for (int lane = 0; lane < HEIGHT; lane += LANES) {
                IntVector w = IntVector.fromArray(I, source, from + i * HEIGHT + lane);
                int to = 8 * i * HEIGHT + lane;
                for (int j = 0; j < LOW_NIBBLES; j++) {
                    w.lanewise(VectorOperators.LSHL, NIBBLE_SHIFT - 4 * j)
                            .and(NIBBLE_MASK)
                            .or(SIXTEEN)
                            .reinterpretAsFloats()
                            .intoArray(target, to + j * HEIGHT);
                }
                for (int j = LOW_NIBBLES; j < 8; j++) {
                    w.lanewise(VectorOperators.LSHR, 4 * j - NIBBLE_SHIFT)
                            .and(NIBBLE_MASK)
                            .or(SIXTEEN)
                            .reinterpretAsFloats()
                            .intoArray(target, to + j * HEIGHT);
                }
            }
        }
    }

    /** Puts levels of 5 or 6 bits together as bytes: [column][row]. */
    private static void joinLevels(PackedMatrix matrix, int panel, int column, int count, byte[] target) {
        byte[] highs = matrix.highs;
        byte[] lows = matrix.lows;
        int bits = matrix.lowBits;
        int mask = 0x01010101 * ((1 << bits) - 1);
        int eights = 4 / bits;
        int quad = 4 * HEIGHT;
        int from = (panel * matrix.columns + column) * HEIGHT;
        for (int g = 0; g < count / 8 / eights; g++) {
            for (int q = 0; q < quad; q += WHOLE_BYTES.length()) {
                IntVector low = ByteVector.fromArray(WHOLE_BYTES, lows, from / 8 * bits + g * quad + q)
                        .reinterpretAsInts();
                for (int i = g * eights; i < (g + 1) * eights; i++) {
                    IntVector high = ByteVector.fromArray(WHOLE_BYTES, highs, from / 2 + i * quad + q)
                            .reinterpretAsInts();
                    high.and(0x0f0f0f0f)
                            .lanewise(VectorOperators.LSHL, bits)
                            .or(low.and(mask))
                            .reinterpretAsBytes()
                            .intoArray(target, 2 * i * quad + q);
                    low = low.lanewise(VectorOperators.LSHR, bits);
                    high.lanewise(VectorOperators.LSHR, 4)
                            .and(0x0f0f0f0f)
                            .lanewise(VectorOperators.LSHL, bits)
                            .or(low.and(mask))
                            .reinterpretAsBytes()
                            .intoArray(target, (2 * i + 1) * quad + q);
                    low = low.lanewise(VectorOperators.LSHR, bits);
                }
            }
        }
    }

    /** The bits moved to a float's places, then 2^112 for the other exponent bias; subnormals come out right too. */
    private static void unpackFloat16s(short[] source, int from, int size, float[] target) {
        for (int i = 0; i < size; i += LANES) {
            IntVector bits =
                    (IntVector) ShortVector.fromArray(S, source, from + i).convertShape(VectorOperators.S2I, I, 0);
            IntVector magnitude = bits.and(0x7fff).lanewise(VectorOperators.LSHL, 13);
            IntVector sign = bits.and(0x80000000);
            magnitude.or(sign).reinterpretAsFloats().mul(0x1p112f).intoArray(target, i);
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
    public void swiGlu(float[] gate, float[] up, int from, int count) {
        int i = 0;
        for (; i + LANES <= count; i += LANES) {
            FloatVector g = FloatVector.fromArray(F, gate, from + i);
            FloatVector silu = g.div(VectorKernels.exp(g.neg()).add(1));
            silu.mul(FloatVector.fromArray(F, up, from + i)).intoArray(gate, from + i);
        }
        for (; i < count; i++) {
            float g = gate[from + i];
            gate[from + i] = g / (1 + Exp.exp(-g)) * up[from + i];
        }
    }
}
