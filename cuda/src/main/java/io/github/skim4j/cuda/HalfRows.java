package io.github.skim4j.cuda;

/**
 * Rows of 16-bit floats that products take as input. What pads a row to its stride is zero and stays so.
 *
 * @param capacity rows that there is room for
 * @param columns of a row
 * @param stride numbers from row to row: the columns, rounded up to what the kernels read at once
 */
record HalfRows(DeviceBuffer buffer, int capacity, int columns, int stride) {

    private static final int GRANULARITY = 64;

    static HalfRows allocate(CudaDevice device, int capacity, int columns, String what, String remedy) {
        int stride = stride(columns);
        return new HalfRows(
                device.allocateCleared((long) capacity * stride * Short.BYTES, what, remedy),
                capacity,
                columns,
                stride);
    }

    static int stride(int columns) {
        return (columns + GRANULARITY - 1) / GRANULARITY * GRANULARITY;
    }
}
