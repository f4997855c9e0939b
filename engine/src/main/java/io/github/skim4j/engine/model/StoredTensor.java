package io.github.skim4j.engine.model;

import java.nio.ByteBuffer;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;

/**
 * A tensor at a place of a file that has been checked.
 *
 * @param position of its first byte
 */
record StoredTensor(ModelData data, String name, TensorType type, int rows, int columns, long position)
        implements Tensor {

    /**
     * Checks that a declared tensor can be one: sizes that fit arrays, whole blocks, bytes within the file.
     *
     * @param dimensions columns first
     * @param begin position that is the earliest allowed
     * @param offset from {@code begin}
     */
    static StoredTensor check(
            ModelData data, String name, TensorType type, long[] dimensions, long begin, long offset) {
        String tensor = data.path() + ": tensor " + name;
        long rows = 1;
        for (int i = 0; i < dimensions.length; i++) {
            if (dimensions[i] < 1 || dimensions[i] > Integer.MAX_VALUE) {
                throw new ModelFormatException(
                        tensor + ": dimension " + i + " of " + dimensions[i] + " is not allowed");
            }
            if (i > 0) {
                // Both factors are below 2^31.
                rows *= dimensions[i];
                if (rows > Integer.MAX_VALUE) {
                    throw new ModelFormatException(tensor + ": more than " + Integer.MAX_VALUE + " rows");
                }
            }
        }
        long columns = dimensions.length == 0 ? 1 : dimensions[0];
        if (columns % type.blockSize() != 0) {
            throw new ModelFormatException(tensor + ": rows of " + columns + " elements are not whole blocks of "
                    + type.blockSize() + " for " + type);
        }
        long rowBytes = type.bytes(columns);
        if (rowBytes > Integer.MAX_VALUE) {
            throw new ModelFormatException(tensor + ": rows of " + columns + " elements are too long");
        }
        long available = data.size() - begin;
        if (offset < 0 || offset > available || rowBytes * rows > available - offset) {
            throw new ModelFormatException(tensor + ": its " + rowBytes * rows + " bytes at offset " + offset
                    + " lie beyond the end of the file, which is truncated or damaged");
        }
        return new StoredTensor(data, name, type, (int) rows, (int) columns, begin + offset);
    }

    /** Checks that no two tensors of a file overlap. */
    static void checkDisjoint(Collection<StoredTensor> tensors) {
        StoredTensor previous = null;
        List<StoredTensor> sorted = tensors.stream()
                .sorted(Comparator.comparingLong(StoredTensor::position))
                .toList();
        for (StoredTensor tensor : sorted) {
            if (previous != null && previous.position + previous.bytes() > tensor.position) {
                throw new ModelFormatException(
                        tensor.data.path() + ": tensors " + previous.name + " and " + tensor.name + " overlap");
            }
            previous = tensor;
        }
    }

    @Override
    public void read(int from, int count, byte[] target, int offset) {
        Objects.checkFromIndexSize(from, count, rows);
        data.read(position + (long) from * rowBytes(), target, offset, Math.multiplyExact(count, rowBytes()));
    }

    @Override
    public void read(int from, int count, ByteBuffer target) {
        Objects.checkFromIndexSize(from, count, rows);
        data.read(position + (long) from * rowBytes(), target, Math.multiplyExact(count, rowBytes()));
    }
}
