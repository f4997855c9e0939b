package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.model.HalfFloats;
import java.util.Arrays;

/** {@link MatrixKernels} in plain Java; see {@link ScalarKernels}. */
final class ScalarMatrixKernels implements MatrixKernels {

    private static final int LANES = 32;

    /** Tokens of a tile. */
    private static final int TILE = 128;

    /** Tokens from which on a tile is worth it. */
    private static final int FEW = 8;

    /** Columns whose products are added at once. */
    private static final int COLUMNS = 4;

    /** Levels, signed ones by their byte as an unsigned number: the JIT compiler has no vector instructions for the conversion. */
    private static final float[] LEVELS = new float[256];

    static {
        for (int i = 0; i < 256; i++) {
            LEVELS[i] = (byte) i;
        }
    }

    @Override
    public int lanes() {
        return LANES;
    }

    @Override
    public int tile() {
        return TILE;
    }

    @Override
    public void multiply(
            PackedMatrix matrix, int panel, MatrixInput input, float[] output, int stride, MatrixScratch scratch) {
        int tokens = input.tokens();
        int tiled = tokens % TILE < FEW ? tokens - tokens % TILE : tokens;
        for (int t = 0; t < tiled; t += TILE) {
            multiplyTile(matrix, panel, input, t, Math.min(TILE, tiled - t), output, stride, scratch.weights);
        }
        if (tiled == tokens) {
            return;
        }
        for (int t = tiled; t < tokens; t++) {
            Arrays.fill(output, t * stride + panel * LANES, t * stride + (panel + 1) * LANES, 0);
        }
        for (int column = 0; column < matrix.columns; column += MatrixScratch.COLUMNS) {
            int count = Math.min(MatrixScratch.COLUMNS, matrix.columns - column);
            if (!isDirect(matrix, input)) {
                unpack(matrix, panel, column, count, scratch.weights);
            }
            for (int t = tiled; t < tokens; t++) {
                int to = t * stride + panel * LANES;
                multiplyPanel(matrix, panel, column, count, input, t, output, to, scratch.weights);
            }
        }
    }

    /**
     * {@link #multiplyPanel} of the tokens of a tile, the same sums in the same order. The innermost loops run over tokens, and the arrays are
     * cut so that their indices have no variable but the token: only then does the JIT compiler of Java 17 make vector instructions of them.
     */
    private static void multiplyTile(
            PackedMatrix matrix,
            int panel,
            MatrixInput input,
            int token,
            int tokens,
            float[] output,
            int stride,
            float[] weights) {
        float[][] totals = new float[LANES][tokens];
        float[][] sums = new float[LANES][tokens];
        float[] blockSums = new float[tokens];
        float[] x = new float[COLUMNS * TILE];
        for (int column = 0; column < matrix.columns; column += MatrixScratch.COLUMNS) {
            int count = Math.min(MatrixScratch.COLUMNS, matrix.columns - column);
            unpack(matrix, panel, column, count, weights);
            for (int k = 0; k < count; k += matrix.block) {
                int block = (column + k) / matrix.block;
                if (matrix.needsSums()) {
                    for (int t = 0; t < tokens; t++) {
                        blockSums[t] = input.sum(token + t, block, matrix.block);
                    }
                }
                for (float[] sum : sums) {
                    Arrays.fill(sum, 0);
                    if (matrix.zeroPoint != 0) {
                        addScaled(sum, blockSums, -matrix.zeroPoint, tokens);
                    }
                }
                int end = Math.min(count, k + matrix.block);
                int i = k;
                for (; i + COLUMNS <= end; i += COLUMNS) {
                    int from = input.tileIndex(token, column + i, TILE);
                    System.arraycopy(input.tiles(), from, x, 0, x.length);
                    for (int row = 0; row < LANES; row++) {
                        int w = i * LANES + row;
                        addFour(
                                sums[row],
                                x,
                                weights[w],
                                weights[w + LANES],
                                weights[w + 2 * LANES],
                                weights[w + 3 * LANES],
                                tokens);
                    }
                }
                for (; i < end; i++) {
                    System.arraycopy(input.tiles(), input.tileIndex(token, column + i, TILE), x, 0, TILE);
                    for (int row = 0; row < LANES; row++) {
                        addScaled(sums[row], x, weights[i * LANES + row], tokens);
                    }
                }
                int scale = (panel * matrix.blocks() + block) * LANES;
                for (int row = 0; row < LANES; row++) {
                    addScaled(totals[row], sums[row], matrix.scales[scale + row], tokens);
                    if (matrix.mins != null) {
                        addScaled(totals[row], blockSums, min(matrix, panel, block, row), tokens);
                    }
                }
            }
        }
        for (int t = 0; t < tokens; t++) {
            int to = (token + t) * stride + panel * LANES;
            for (int row = 0; row < LANES; row++) {
                output[to + row] = totals[row][t];
            }
        }
    }

    private static void addFour(float[] sums, float[] x, float w0, float w1, float w2, float w3, int tokens) {
        for (int t = 0; t < tokens; t++) {
            sums[t] += w0 * x[t] + w1 * x[t + TILE] + w2 * x[t + 2 * TILE] + w3 * x[t + 3 * TILE];
        }
    }

    private static void addScaled(float[] sums, float[] values, float factor, int tokens) {
        for (int t = 0; t < tokens; t++) {
            sums[t] += values[t] * factor;
        }
    }

    private static float min(PackedMatrix matrix, int panel, int block, int row) {
        int shared = matrix.minBlocks;
        float min = matrix.mins[(panel * (matrix.blocks() / shared) + block / shared) * LANES + row];
        return matrix.minLevels == null ? min : min * matrix.minLevels[(panel * matrix.blocks() + block) * LANES + row];
    }

    private static void multiplyPanel(
            PackedMatrix matrix,
            int panel,
            int column,
            int count,
            MatrixInput input,
            int token,
            float[] output,
            int to,
            float[] weights) {
        float[] sum = new float[LANES];
        for (int k = 0; k < count; k += matrix.block) {
            int block = (column + k) / matrix.block;
            Arrays.fill(sum, matrix.zeroPoint == 0 ? 0 : -matrix.zeroPoint * input.sum(token, block, matrix.block));
            int end = Math.min(count, k + matrix.block);
            int x = token * input.stride() + column;
            int i = k;
            if (isDirect(matrix, input)) {
                for (; i < end; i += 8) {
                    int from = (panel * matrix.columns + column + i) * LANES;
                    if (matrix.layout == PackedMatrix.Layout.NIBBLES) {
                        addEight(matrix.nibbles, from / 8, input.values(), x + i, sum);
                    } else {
                        addEight(matrix.bytes, from, input.values(), x + i, sum);
                    }
                }
            }
            for (; i + 4 <= end; i += 4) {
                addFour(weights, i * LANES, input.values(), x + i, sum);
            }
            for (; i < end; i++) {
                for (int lane = 0; lane < LANES; lane++) {
                    sum[lane] += weights[i * LANES + lane] * input.values()[x + i];
                }
            }
            int scale = (panel * matrix.blocks() + block) * LANES;
            for (int lane = 0; lane < LANES; lane++) {
                output[to + lane] += sum[lane] * matrix.scales[scale + lane];
            }
            if (matrix.mins != null) {
                addMins(matrix, panel, block, input, token, output, to);
            }
        }
    }

    /** The minimum of a block times the sum of its inputs. */
    private static void addMins(
            PackedMatrix matrix, int panel, int block, MatrixInput input, int token, float[] output, int to) {
        float sum = input.sum(token, block, matrix.block);
        int shared = matrix.minBlocks;
        int min = (panel * (matrix.blocks() / shared) + block / shared) * LANES;
        if (matrix.minLevels == null) {
            for (int lane = 0; lane < LANES; lane++) {
                output[to + lane] += matrix.mins[min + lane] * sum;
            }
        } else {
            int level = (panel * matrix.blocks() + block) * LANES;
            for (int lane = 0; lane < LANES; lane++) {
                output[to + lane] += matrix.mins[min + lane] * matrix.minLevels[level + lane] * sum;
            }
        }
    }

    /** Whether levels are multiplied as they are taken out of their bits: for one token unpacking them first is not worth it. */
    private static boolean isDirect(PackedMatrix matrix, MatrixInput input) {
        return input.tokens() == 1 && matrix.quantized() && matrix.lowBits == 0;
    }

    /** Eight columns of nibbles, in the order of {@link #addFour}. */
    private static void addEight(int[] nibbles, int from, float[] x, int at, float[] sum) {
        float[] levels = LEVELS;
        float x0 = x[at];
        float x1 = x[at + 1];
        float x2 = x[at + 2];
        float x3 = x[at + 3];
        float x4 = x[at + 4];
        float x5 = x[at + 5];
        float x6 = x[at + 6];
        float x7 = x[at + 7];
        for (int lane = 0; lane < LANES; lane++) {
            int word = nibbles[from + lane];
            float first = levels[word & 15] * x0
                    + levels[word >>> 4 & 15] * x1
                    + levels[word >>> 8 & 15] * x2
                    + levels[word >>> 12 & 15] * x3;
            float second = levels[word >>> 16 & 15] * x4
                    + levels[word >>> 20 & 15] * x5
                    + levels[word >>> 24 & 15] * x6
                    + levels[word >>> 28] * x7;
            sum[lane] = sum[lane] + first + second;
        }
    }

    private static void addEight(byte[] bytes, int from, float[] x, int at, float[] sum) {
        float[] levels = LEVELS;
        float x0 = x[at];
        float x1 = x[at + 1];
        float x2 = x[at + 2];
        float x3 = x[at + 3];
        float x4 = x[at + 4];
        float x5 = x[at + 5];
        float x6 = x[at + 6];
        float x7 = x[at + 7];
        for (int lane = 0; lane < LANES; lane++) {
            int i = from + lane;
            float first = levels[bytes[i] & 255] * x0
                    + levels[bytes[i + LANES] & 255] * x1
                    + levels[bytes[i + 2 * LANES] & 255] * x2
                    + levels[bytes[i + 3 * LANES] & 255] * x3;
            float second = levels[bytes[i + 4 * LANES] & 255] * x4
                    + levels[bytes[i + 5 * LANES] & 255] * x5
                    + levels[bytes[i + 6 * LANES] & 255] * x6
                    + levels[bytes[i + 7 * LANES] & 255] * x7;
            sum[lane] = sum[lane] + first + second;
        }
    }

    /** Four columns at a time, so that the loop over lanes has something to do. */
    private static void addFour(float[] weights, int from, float[] x, int at, float[] sum) {
        float x0 = x[at];
        float x1 = x[at + 1];
        float x2 = x[at + 2];
        float x3 = x[at + 3];
        for (int lane = 0; lane < LANES; lane++) {
            sum[lane] += weights[from + lane] * x0
                    + weights[from + LANES + lane] * x1
                    + weights[from + 2 * LANES + lane] * x2
                    + weights[from + 3 * LANES + lane] * x3;
        }
    }

    /** Elements or levels of some columns of a panel as floats: [column][lane]. */
    private static void unpack(PackedMatrix matrix, int panel, int column, int count, float[] target) {
        int from = (panel * matrix.columns + column) * LANES;
        int size = count * LANES;
        switch (matrix.layout) {
            case FLOAT -> System.arraycopy(matrix.floats, from, target, 0, size);
            case BFLOAT16 -> {
                for (int i = 0; i < size; i++) {
                    target[i] = HalfFloats.bfloat16ToFloat(matrix.shorts[from + i]);
                }
            }
            case FLOAT16 -> {
                for (int i = 0; i < size; i++) {
                    target[i] = HalfFloats.float16ToFloat(matrix.shorts[from + i]);
                }
            }
            case BYTES -> {
                for (int i = 0; i < size; i++) {
                    target[i] = matrix.bytes[from + i];
                }
            }
            case NIBBLES -> {
                for (int k = 0; k < count; k += 8) {
                    unpackNibbles(matrix.nibbles, (from + k * LANES) / 8, target, k * LANES);
                }
            }
            case SPLIT -> {
                for (int k = 0; k < count; k++) {
                    unpackSplit(matrix, from, k, target);
                }
            }
        }
    }

    /** Eight columns. */
    private static void unpackNibbles(int[] nibbles, int from, float[] target, int to) {
        float[] levels = LEVELS;
        for (int lane = 0; lane < LANES; lane++) {
            int word = nibbles[from + lane];
            target[to + lane] = levels[word & 15];
            target[to + LANES + lane] = levels[word >>> 4 & 15];
            target[to + 2 * LANES + lane] = levels[word >>> 8 & 15];
            target[to + 3 * LANES + lane] = levels[word >>> 12 & 15];
            target[to + 4 * LANES + lane] = levels[word >>> 16 & 15];
            target[to + 5 * LANES + lane] = levels[word >>> 20 & 15];
            target[to + 6 * LANES + lane] = levels[word >>> 24 & 15];
            target[to + 7 * LANES + lane] = levels[word >>> 28];
        }
    }

    private static void unpackSplit(PackedMatrix matrix, int from, int k, float[] target) {
        int bits = matrix.lowBits;
        int mask = (1 << bits) - 1;
        int high = from / 2 + (k / 8 * 4 + k % 4) * LANES;
        int low = from / 8 * bits + (k * bits / 32 * 4 + k % 4) * LANES;
        int highShift = PackedMatrix.highShift(k);
        int lowShift = matrix.lowShift(k);
        for (int lane = 0; lane < LANES; lane++) {
            target[k * LANES + lane] =
                    (matrix.highs[high + lane] >> highShift & 15) << bits | matrix.lows[low + lane] >> lowShift & mask;
        }
    }

    @Override
    public float sumOfSquares(float[] values, int from, int count) {
        float[] sums = new float[8];
        int whole = count & -8;
        for (int i = 0; i < whole; i += 8) {
            for (int j = 0; j < 8; j++) {
                sums[j] += values[from + i + j] * values[from + i + j];
            }
        }
        for (int i = whole; i < count; i++) {
            sums[i - whole] += values[from + i] * values[from + i];
        }
        return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
    }

    @Override
    public void swiGlu(float[] gate, float[] up, int from, int count) {
        for (int i = 0; i < count; i++) {
            float g = gate[from + i];
            gate[from + i] = g / (1 + Exp.exp(-g)) * up[from + i];
        }
    }
}
