package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.model.HalfFloats;
import io.github.skim4j.engine.model.TensorType;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;

/**
 * One row of a quantised tensor taken apart: {@code value[k] = scale[k / block] * (level[k] - zeroPoint) + min}, exactly, whatever ggml block
 * format it is stored in. The minimum is {@code mins[k / block]}, or {@code mins[k / 256] * minLevels[k / block]} in the K types. Reused from row to row.
 */
final class StoredBlocks {

    private static final VarHandle SHORT = MethodHandles.byteArrayViewVarHandle(short[].class, ByteOrder.LITTLE_ENDIAN);
    private static final VarHandle INT = MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.LITTLE_ENDIAN);
    private static final VarHandle LONG = MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);

    private final TensorType type;
    private final int columns;
    /** Levels of more than 4 bits, one a byte. */
    final byte[] levels;
    /** Levels of 4 bits, eight of consecutive columns an int, the first in the lowest bits. */
    final int[] nibbles;

    final float[] scales;
    final float[] mins;
    final byte[] minLevels;

    StoredBlocks(TensorType type, int columns) {
        this.type = type;
        this.columns = columns;
        this.levels = new byte[levelBits(type) == 4 ? 0 : columns];
        this.nibbles = new int[levelBits(type) == 4 ? columns / 8 : 0];
        this.scales = new float[columns / blockSize(type)];
        this.mins = new float[hasMins(type) ? scales.length / minBlocks(type) : 0];
        this.minLevels = new byte[minBlocks(type) > 1 ? scales.length : 0];
    }

    /** Whether this is for rows of {@code columns} elements of a type. */
    boolean fits(TensorType type, int columns) {
        return this.type == type && this.columns == columns;
    }

    /** Elements that share a scale. */
    static int blockSize(TensorType type) {
        return type == TensorType.Q6_K ? 16 : 32;
    }

    static boolean hasMins(TensorType type) {
        return switch (type) {
            case Q4_1, Q5_1, Q4_K, Q5_K -> true;
            default -> false;
        };
    }

    /** Blocks that share a minimum's scale. */
    static int minBlocks(TensorType type) {
        return type == TensorType.Q4_K || type == TensorType.Q5_K ? 8 : 1;
    }

    /** The level that stands for 0 in a type without minima. */
    static int zeroPoint(TensorType type) {
        return switch (type) {
            case Q4_0 -> 8;
            case Q5_0 -> 16;
            case Q6_K -> 32;
            default -> 0;
        };
    }

    /** Bits of a level; those of 8 bits are signed. */
    static int levelBits(TensorType type) {
        return switch (type) {
            case Q4_0, Q4_1, Q4_K -> 4;
            case Q5_0, Q5_1, Q5_K -> 5;
            case Q6_K -> 6;
            default -> 8;
        };
    }

    /** Takes the stored row at {@code offset} apart. */
    void read(byte[] row, int offset) {
        switch (type) {
            case Q8_0 -> readQ8(row, offset);
            case Q4_0 -> readQ4(row, offset, 2, false);
            case Q4_1 -> readQ4(row, offset, 4, true);
            case Q5_0 -> readQ5(row, offset, 2, false);
            case Q5_1 -> readQ5(row, offset, 4, true);
            case Q4_K -> readQ4K(row, offset);
            case Q5_K -> readQ5K(row, offset);
            case Q6_K -> readQ6K(row, offset);
            default -> throw new IllegalArgumentException(type + " has no blocks to take apart");
        }
    }

    // Each type has its loop: compiled code of one for all would be thrown away at the first row of another type.

    private void readQ8(byte[] row, int offset) {
        for (int to = 0, at = offset; to < columns; to += 32, at += type.blockBytes()) {
            scales[to / 32] = half(row, at);
            System.arraycopy(row, at + 2, levels, to, 32);
        }
    }

    private void readQ4(byte[] row, int offset, int header, boolean stored) {
        for (int to = 0, at = offset; to < columns; to += 32, at += type.blockBytes()) {
            float scale = half(row, at);
            scales[to / 32] = scale;
            if (stored) {
                mins[to / 32] = half(row, at + 2);
            }
            long first = (long) LONG.get(row, at + header);
            long second = (long) LONG.get(row, at + header + 8);
            nibbles[to / 8] = lowHalves(first);
            nibbles[to / 8 + 1] = lowHalves(second);
            nibbles[to / 8 + 2] = lowHalves(first >>> 4);
            nibbles[to / 8 + 3] = lowHalves(second >>> 4);
        }
    }

    private void readQ5(byte[] row, int offset, int header, boolean stored) {
        for (int to = 0, at = offset; to < columns; to += 32, at += type.blockBytes()) {
            int high = (int) INT.get(row, at + header);
            scales[to / 32] = half(row, at);
            if (stored) {
                mins[to / 32] = half(row, at + 2);
            }
            for (int i = 0; i < 16; i++) {
                int pair = row[at + header + 4 + i];
                levels[to + i] = (byte) (pair & 15 | (high >> i & 1) << 4);
                levels[to + 16 + i] = (byte) (pair >> 4 & 15 | (high >> i + 16 & 1) << 4);
            }
        }
    }

    private void readQ4K(byte[] row, int offset) {
        for (int to = 0, at = offset; to < columns; to += 256, at += type.blockBytes()) {
            readScalesK(row, at, to);
            for (int i = 0; i < 16; i++) {
                long pairs = (long) LONG.get(row, at + 16 + 8 * i);
                int word = to / 8 + i / 4 * 8 + i % 4;
                nibbles[word] = lowHalves(pairs);
                nibbles[word + 4] = lowHalves(pairs >>> 4);
            }
        }
    }

    /** The lower four bits of each byte, side by side. */
    private static int lowHalves(long bytes) {
        long halves = bytes & 0x0f0f0f0f0f0f0f0fL;
        halves = (halves | halves >>> 4) & 0x00ff00ff00ff00ffL;
        halves = (halves | halves >>> 8) & 0x0000ffff0000ffffL;
        return (int) (halves | halves >>> 16);
    }

    private void readQ5K(byte[] row, int offset) {
        for (int to = 0, at = offset; to < columns; to += 256, at += type.blockBytes()) {
            readScalesK(row, at, to);
            for (int i = 0; i < 256; i++) {
                int pair = row[at + 48 + i / 64 * 32 + i % 32];
                int high = row[at + 16 + i % 32] >> i / 32 & 1;
                levels[to + i] = (byte) ((i % 64 < 32 ? pair & 15 : pair >> 4 & 15) | high << 4);
            }
        }
    }

    /** Eight 6-bit scales and eight 6-bit minima in 12 bytes after two half floats. */
    private void readScalesK(byte[] row, int at, int to) {
        float scale = half(row, at);
        mins[to / 256] = -half(row, at + 2);
        int packed = at + 4;
        for (int j = 0; j < 8; j++) {
            int s;
            int m;
            if (j < 4) {
                s = row[packed + j] & 63;
                m = row[packed + j + 4] & 63;
            } else {
                s = row[packed + j + 4] & 15 | (row[packed + j - 4] >> 6 & 3) << 4;
                m = row[packed + j + 4] >> 4 & 15 | (row[packed + j] >> 6 & 3) << 4;
            }
            scales[to / 32 + j] = scale * s;
            minLevels[to / 32 + j] = (byte) m;
        }
    }

    private void readQ6K(byte[] row, int offset) {
        for (int to = 0, at = offset; to < columns; to += 256, at += type.blockBytes()) {
            float scale = half(row, at + 208);
            for (int j = 0; j < 16; j++) {
                scales[to / 16 + j] = scale * row[at + 192 + j];
            }
            for (int i = 0; i < 256; i++) {
                int half = i / 128;
                int quarter = i % 128 / 32;
                int l = i % 32;
                int low = row[at + half * 64 + quarter % 2 * 32 + l] >> quarter / 2 * 4 & 15;
                int high = row[at + 128 + half * 32 + l] >> quarter * 2 & 3;
                levels[to + i] = (byte) (low | high << 4);
            }
        }
    }

    private static float half(byte[] row, int at) {
        return HalfFloats.float16ToFloat((short) SHORT.get(row, at));
    }
}
