package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.model.HalfFloats;
import io.github.skim4j.engine.model.TensorType;
import java.util.Arrays;

/**
 * A weight matrix in the one form that the kernels work on: panels of {@code lanes} rows, element (r, k) at
 * [r / lanes][k][r % lanes], so that the lanes of a vector are rows, an input value is shared by all lanes and nothing is summed
 * across lanes. A panel is a few vectors high, so that a kernel reads memory from front to back. The last panel is padded with zeros.
 *
 * <p>Quantised values are {@code scale * (level - zeroPoint) + min}: a scale for each row and block of columns, at
 * [r / lanes][block][r % lanes], and a minimum in one of the forms that {@link #mins} and {@link #minLevels} describe.
 */
final class PackedMatrix {

    /** What the elements are. */
    enum Layout {
        /** {@link #floats} */
        FLOAT,
        /** {@link #shorts} hold the upper half of a float. */
        BFLOAT16,
        /** {@link #shorts} hold IEEE binary16. */
        FLOAT16,
        /** {@link #bytes} hold signed levels. */
        BYTES,
        /** {@link #nibbles} hold eight unsigned levels of consecutive columns, the first in the lowest bits: [panel][column / 8][lane]. */
        NIBBLES,
        /** {@link #highs} and {@link #lows} hold unsigned levels of 5 or 6 bits. */
        SPLIT
    }

    /** Columns of a block in the float layouts: no more than are unpacked at a time, so that all sums are made alike. */
    private static final int FLOAT_BLOCK = MatrixScratch.COLUMNS;

    /** Bytes after the last level: a kernel may load this many more than it uses. */
    static final int OVERREAD = 8;

    final Layout layout;
    final int rows;
    final int columns;
    final int lanes;
    final int panels;
    /** Columns that share a scale. */
    final int block;

    final float[] floats;
    final short[] shorts;
    final byte[] bytes;
    final int[] nibbles;
    /** The upper four bits of levels, two columns a byte, column k + 4 above column k: [panel][column / 8][column % 4][lane]. */
    final byte[] highs;
    /** The lower bits of levels, columns k, k + 4, … a byte, the first in the lowest bits: [panel][column / (32 / lowBits)][column % 4][lane]. */
    final byte[] lows;
    /** Bits of a level in {@link #lows}: 1 or 2. */
    final int lowBits;
    /**
     * All 1 in the float layouts. Not binary16, as files have them: where shorts are widened on the way, HotSpot 17 puts vectors of the
     * product of nibbles on the heap in one start of the JVM of four, and from pairs in an int decoding is 5 to 8 % slower.
     */
    final float[] scales;

    /** The level that stands for 0. */
    final int zeroPoint;
    /** Minima, or what {@link #minLevels} are multiplied by; {@code null} if there are none. */
    final float[] mins;
    /** Levels of the minima, for each block, where a stored block of {@link #minBlocks} of ours shares one scale of minima; or {@code null}. */
    final byte[] minLevels;
    /** Blocks that share an entry of {@link #mins}. */
    final int minBlocks;

    /** An empty matrix for rows as {@code type} stores them. */
    PackedMatrix(TensorType type, int rows, int columns, int lanes) {
        this.layout = switch (type) {
            case F32 -> Layout.FLOAT;
            case BF16 -> Layout.BFLOAT16;
            case F16 -> Layout.FLOAT16;
            default ->
                switch (StoredBlocks.levelBits(type)) {
                    case 4 -> Layout.NIBBLES;
                    case 8 -> Layout.BYTES;
                    default -> Layout.SPLIT;
                };
        };
        this.rows = rows;
        this.columns = columns;
        this.lanes = lanes;
        this.panels = (rows + lanes - 1) / lanes;
        int size = Math.multiplyExact(Math.multiplyExact(panels, lanes), columns);
        floats = layout == Layout.FLOAT ? new float[size] : null;
        shorts = layout == Layout.BFLOAT16 || layout == Layout.FLOAT16 ? new short[size] : null;
        bytes = layout == Layout.BYTES ? new byte[Math.addExact(size, OVERREAD)] : null;
        nibbles = layout == Layout.NIBBLES ? new int[size / 8] : null;
        lowBits = layout == Layout.SPLIT ? StoredBlocks.levelBits(type) - 4 : 0;
        highs = layout == Layout.SPLIT ? new byte[size / 2] : null;
        lows = layout == Layout.SPLIT ? new byte[size / 8 * lowBits] : null;
        block = quantized() ? StoredBlocks.blockSize(type) : FLOAT_BLOCK;
        scales = new float[panels * lanes * blocks()];
        if (!quantized()) {
            Arrays.fill(scales, 1);
        }
        zeroPoint = quantized() ? StoredBlocks.zeroPoint(type) : 0;
        minBlocks = quantized() ? StoredBlocks.minBlocks(type) : 1;
        minLevels = minBlocks > 1 ? new byte[scales.length + OVERREAD] : null;
        mins = quantized() && StoredBlocks.hasMins(type) ? new float[scales.length / minBlocks] : null;
    }

    /**
     * Bytes of a matrix's arrays.
     *
     * @throws ArithmeticException if they are longer than Java's can be
     */
    static long bytes(TensorType type, int rows, int columns, int lanes) {
        int paddedRows = Math.multiplyExact((rows + lanes - 1) / lanes, lanes);
        int size = Math.multiplyExact(paddedRows, columns);
        boolean quantized = type != TensorType.F32 && type != TensorType.BF16 && type != TensorType.F16;
        int block = quantized ? StoredBlocks.blockSize(type) : FLOAT_BLOCK;
        long scales = (long) paddedRows * ((columns + block - 1) / block);
        if (!quantized) {
            return type.bytes(size) + Float.BYTES * scales;
        }
        int minBlocks = StoredBlocks.minBlocks(type);
        long mins = StoredBlocks.hasMins(type) ? Float.BYTES * scales / minBlocks + (minBlocks > 1 ? scales : 0) : 0;
        return (long) size / 8 * StoredBlocks.levelBits(type) + Float.BYTES * scales + mins;
    }

    /** Whether elements are levels. */
    boolean quantized() {
        return layout == Layout.BYTES || layout == Layout.NIBBLES || layout == Layout.SPLIT;
    }

    /** Blocks of columns. */
    int blocks() {
        return (columns + block - 1) / block;
    }

    /** Whether products need {@link MatrixInput#sums}. */
    boolean needsSums() {
        return layout == Layout.NIBBLES || zeroPoint != 0 || mins != null;
    }

    /** Rows with the padding: the least distance between two outputs of a product. */
    int paddedRows() {
        return panels * lanes;
    }

    /** Stores a row of floats. */
    void setFloats(int row, float[] values) {
        int at = at(row, columns, 0);
        for (int k = 0; k < columns; k++) {
            floats[at + k * lanes] = values[k];
        }
    }

    /** Stores a row of 16-bit values, little-endian. */
    void setShorts(int row, byte[] source, int from) {
        int at = at(row, columns, 0);
        for (int k = 0; k < columns; k++) {
            shorts[at + k * lanes] = (short) (source[from + 2 * k] & 255 | source[from + 2 * k + 1] << 8);
        }
    }

    /** Stores a row of levels, scales and minima. */
    void setBlocks(int row, StoredBlocks source) {
        switch (layout) {
            case BYTES -> spread(source.levels, bytes, row);
            case NIBBLES -> setNibbles(row, source.nibbles);
            default -> setSplit(row, source.levels);
        }
        spread(source.scales, scales, row);
        if (minLevels != null) {
            spread(source.minLevels, minLevels, row);
        }
        if (mins != null) {
            spread(source.mins, mins, row);
        }
    }

    private void spread(float[] source, float[] target, int row) {
        int at = at(row, source.length, 0);
        for (int b = 0; b < source.length; b++) {
            target[at + b * lanes] = source[b];
        }
    }

    private void spread(byte[] source, byte[] target, int row) {
        int at = at(row, source.length, 0);
        for (int k = 0; k < source.length; k++) {
            target[at + k * lanes] = source[k];
        }
    }

    private void setNibbles(int row, int[] words) {
        int at = at(row, words.length, 0);
        for (int i = 0; i < words.length; i++) {
            nibbles[at + i * lanes] = words[i];
        }
    }

    private void setSplit(int row, byte[] levels) {
        int mask = (1 << lowBits) - 1;
        for (int k = 0; k < columns; k++) {
            highs[highByte(row, k)] |= (byte) (levels[k] >> lowBits << highShift(k));
            lows[lowByte(row, k)] |= (byte) ((levels[k] & mask) << lowShift(k));
        }
    }

    private int highByte(int row, int column) {
        return at(row, columns / 2, column / 8 * 4 + column % 4);
    }

    private int lowByte(int row, int column) {
        return at(row, columns * lowBits / 8, column * lowBits / 32 * 4 + column % 4);
    }

    /** Where in a byte of {@link #highs} a column's bits begin. */
    static int highShift(int column) {
        return column & 4;
    }

    /** Where in a byte of {@link #lows} a column's bits begin. */
    int lowShift(int column) {
        return column / 4 * lowBits % 8;
    }

    /** Reads levels or elements of some columns of a panel, whole blocks of them, with scales and minima ahead. */
    void prefetch(Prefetcher prefetcher, int panel, int column, int count) {
        int from = (panel * columns + column) * lanes;
        int end = from + count * lanes;
        switch (layout) {
            case FLOAT -> prefetcher.read(floats, from, end);
            case BFLOAT16, FLOAT16 -> prefetcher.read(shorts, from, end);
            case BYTES -> prefetcher.read(bytes, from, end);
            case NIBBLES -> prefetcher.read(nibbles, from / 8, end / 8);
            case SPLIT -> {
                prefetcher.read(highs, from / 2, end / 2);
                prefetcher.read(lows, from / 8 * lowBits, end / 8 * lowBits);
            }
        }
        prefetcher.read(scales, from / block, end / block);
        if (mins != null) {
            prefetcher.read(mins, from / block / minBlocks, end / block / minBlocks);
        }
    }

    /** Copies a row as floats. */
    void row(int row, float[] target, int to) {
        int at = at(row, columns, 0);
        for (int k = 0; k < columns; k++) {
            target[to + k] = switch (layout) {
                case FLOAT -> floats[at + k * lanes];
                case BFLOAT16 -> HalfFloats.bfloat16ToFloat(shorts[at + k * lanes]);
                case FLOAT16 -> HalfFloats.float16ToFloat(shorts[at + k * lanes]);
                case BYTES -> scaled(row, k, bytes[at + k * lanes]);
                case NIBBLES -> scaled(row, k, nibbles[at(row, columns / 8, k / 8)] >>> k % 8 * 4 & 15);
                case SPLIT -> scaled(row, k, level(row, k));
            };
        }
    }

    private int level(int row, int column) {
        int high = highs[highByte(row, column)] >> highShift(column) & 15;
        int low = lows[lowByte(row, column)] >> lowShift(column) & (1 << lowBits) - 1;
        return high << lowBits | low;
    }

    private float scaled(int row, int column, int level) {
        int b = column / block;
        float value = scales[at(row, blocks(), b)] * (level - zeroPoint);
        if (mins == null) {
            return value;
        }
        float min = mins[at(row, blocks() / minBlocks, b / minBlocks)];
        return value + (minLevels == null ? min : min * minLevels[at(row, blocks(), b)]);
    }

    /** Index of a row's item {@code item} of {@code count} in an array [panel][item][lane]. */
    private int at(int row, int count, int item) {
        return (row / lanes * count + item) * lanes + row % lanes;
    }
}
