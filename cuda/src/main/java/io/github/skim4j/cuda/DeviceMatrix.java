package io.github.skim4j.cuda;

/**
 * A matrix on the device, [rows][columns].
 *
 * @param units see {@link MatrixType}
 * @param scales likewise
 */
record DeviceMatrix(MatrixType type, int rows, int columns, DeviceBuffer units, DeviceBuffer scales) {

    private static final String REMEDY = "Choose weights: q4_0 or q8_0, a smaller model, or device: cpu";

    /** Takes cleared memory for a matrix. */
    static DeviceMatrix allocate(CudaDevice device, MatrixType type, int rows, int columns) {
        return new DeviceMatrix(
                type,
                rows,
                columns,
                device.allocateCleared(type.unitBytes(rows, columns), "the weights", REMEDY),
                device.allocateCleared(type.scaleBytes(rows, columns), "the weights", REMEDY));
    }

    static DeviceBuffer vector(CudaDevice device, int length) {
        return device.allocateCleared((long) length * Float.BYTES, "the weights", REMEDY);
    }
}
