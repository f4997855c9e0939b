package io.github.skim4j.engine.model;

import java.nio.ByteBuffer;

/**
 * A weight tensor in its file: a matrix of {@code rows} × {@code columns}, or a vector (one row). Nothing is read before {@link
 * #read}.
 */
public interface Tensor {

    /** The file's own name for it. */
    String name();

    TensorType type();

    int rows();

    int columns();

    /** Bytes of one row as stored. */
    default int rowBytes() {
        return Math.toIntExact(type().bytes(columns()));
    }

    /** Bytes of the tensor as stored. */
    default long bytes() {
        return (long) rowBytes() * rows();
    }

    /**
     * Reads rows {@code from} to {@code from + count} as stored, little-endian, into {@code target} from {@code offset}.
     *
     * @throws ModelFormatException if the file has become shorter or can't be read
     */
    void read(int from, int count, byte[] target, int offset);

    /**
     * Reads rows as {@link #read(int, int, byte[], int)} does, to the buffer's position, which moves behind them.
     *
     * @throws ModelFormatException if the file has become shorter or can't be read
     */
    default void read(int from, int count, ByteBuffer target) {
        byte[] rows = new byte[Math.multiplyExact(count, rowBytes())];
        read(from, count, rows, 0);
        target.put(rows);
    }

    /** All values as float. */
    default float[] toFloats() {
        float[] values = new float[Math.multiplyExact(rows(), columns())];
        byte[] row = new byte[rowBytes()];
        for (int r = 0; r < rows(); r++) {
            read(r, 1, row, 0);
            Quantization.dequantize(type(), row, 0, values, r * columns(), columns());
        }
        return values;
    }
}
