package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.model.HalfFloats;
import java.util.Arrays;

/**
 * A weight matrix in the one form that the kernels work on: panels of {@code lanes} rows, element (r, k) at
 * [r / lanes][k][r % lanes], so that the lanes of a vector are rows, an input value is shared by all lanes and nothing is summed
 * across lanes. The last panels are padded with zeros.
 *
 * <p>Quantised values are {@code scale * level + minFactor * min}, one scale and one minimum for each row and block of columns, at
 * [r / lanes][block][r % lanes].
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
        /** {@link #ints} hold eight unsigned levels of consecutive columns, the first in the lowest bits: [panel][column / 8][lane]. */
        NIBBLES
    }

    /** Panels come in strips of this many, so that kernels can work on several at once. */
    static final int STRIP = 4;

    /** Bytes after the last level: a kernel may load this many more than it uses. */
    private static final int OVERREAD = 8;

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
    final int[] ints;
    /** All 1 in the float layouts. */
    final float[] scales;
    /** {@code null} if all are zero; {@link #scales} themselves where a zero point makes the minima. */
    final float[] mins;

    /** 1, or the negative zero point. */
    final float minFactor;

    PackedMatrix(Layout layout, int rows, int columns, int lanes, int block, boolean hasMins, int zeroPoint) {
        this.layout = layout;
        this.rows = rows;
        this.columns = columns;
        this.lanes = lanes;
        this.panels = (rows + lanes * STRIP - 1) / (lanes * STRIP) * STRIP;
        this.block = block;
        int size = Math.multiplyExact(Math.multiplyExact(panels, lanes), columns);
        floats = layout == Layout.FLOAT ? new float[size] : null;
        shorts = layout == Layout.BFLOAT16 || layout == Layout.FLOAT16 ? new short[size] : null;
        bytes = layout == Layout.BYTES ? new byte[Math.addExact(size, OVERREAD)] : null;
        ints = layout == Layout.NIBBLES ? new int[size / 8] : null;
        scales = new float[panels * lanes * blocks()];
        if (!quantized()) {
            Arrays.fill(scales, 1);
        }
        mins = zeroPoint != 0 ? scales : hasMins ? new float[scales.length] : null;
        minFactor = zeroPoint != 0 ? -zeroPoint : 1;
    }

    /** Whether elements are levels. */
    boolean quantized() {
        return bytes != null || ints != null;
    }

    /** Blocks of columns. */
    int blocks() {
        return (columns + block - 1) / block;
    }

    int strips() {
        return panels / STRIP;
    }

    /** Rows with the padding: the least distance between two outputs of a product. */
    int paddedRows() {
        return panels * lanes;
    }

    /** Stores a row of floats. */
    void setFloats(int row, float[] values) {
        int at = first(row);
        for (int k = 0; k < columns; k++) {
            floats[at + k * lanes] = values[k];
        }
    }

    /** Stores a row of 16-bit values, little-endian. */
    void setShorts(int row, byte[] source, int from) {
        int at = first(row);
        for (int k = 0; k < columns; k++) {
            shorts[at + k * lanes] = (short) (source[from + 2 * k] & 255 | source[from + 2 * k + 1] << 8);
        }
    }

    /** Stores a row of levels, scales and minima. */
    void setBlocks(int row, StoredBlocks source) {
        int at = first(row);
        if (layout == Layout.BYTES) {
            for (int k = 0; k < columns; k++) {
                bytes[at + k * lanes] = source.levels[k];
            }
        } else {
            int word = row / lanes * (columns / 8) * lanes + row % lanes;
            for (int k = 0; k < columns; k += 8, word += lanes) {
                int packed = 0;
                for (int i = 0; i < 8; i++) {
                    packed |= source.levels[k + i] << 4 * i;
                }
                ints[word] = packed;
            }
        }
        int scale = row / lanes * blocks() * lanes + row % lanes;
        for (int b = 0; b < blocks(); b++) {
            scales[scale + b * lanes] = source.scales[b];
            if (mins != null && mins != scales) {
                mins[scale + b * lanes] = source.mins[b];
            }
        }
    }

    /** Copies a row as floats. */
    void row(int row, float[] target, int to) {
        int at = first(row);
        for (int k = 0; k < columns; k++) {
            target[to + k] = switch (layout) {
                case FLOAT -> floats[at + k * lanes];
                case BFLOAT16 -> HalfFloats.bfloat16ToFloat(shorts[at + k * lanes]);
                case FLOAT16 -> HalfFloats.float16ToFloat(shorts[at + k * lanes]);
                case BYTES -> scaled(row, k, bytes[at + k * lanes]);
                case NIBBLES ->
                    scaled(
                            row,
                            k,
                            ints[(row / lanes * (columns / 8) + k / 8) * lanes + row % lanes] >>> k % 8 * 4 & 15);
            };
        }
    }

    private float scaled(int row, int column, int level) {
        int at = (row / lanes * blocks() + column / block) * lanes + row % lanes;
        return scales[at] * level + (mins == null ? 0 : minFactor * mins[at]);
    }

    private int first(int row) {
        return row / lanes * columns * lanes + row % lanes;
    }
}
