package io.github.skim4j.cuda;

import io.github.skim4j.engine.model.TensorType;

/**
 * How a matrix lies in device memory: rows in tiles of 16, columns in units, each unit 512 bytes in the order in which the lanes of a
 * warp multiply it, and beside them the scales, those of 4 units together (see {@code weights.cuh}).
 */
enum MatrixType {
    F16("f16", 16, 0, new SmallProduct(58368, 3)),
    /** Q8_0: a scale for 32 columns. */
    Q8("q8", 32, 128, new SmallProduct(43008, 4)),
    /** Q6_K: a scale for 16 columns. */
    Q8S16("q8s16", 32, 256, new SmallProduct(45056, 4)),
    /** Q4_0: a scale for 32 columns. */
    Q4("q4", 64, 256, new SmallProduct(45056, 4)),
    /** Q4_1 and Q4_K: a scale and a minimum for 32 columns. */
    Q4M("q4m", 64, 512, new SmallProduct(69632, 3));

    /** Rows of a tile. */
    static final int TILE = 16;

    private static final int UNIT_BYTES = 512;

    /** Units whose scales lie together. */
    private static final int GROUP_UNITS = 4;

    private final String suffix;
    private final int unitColumns;
    /** Of a group of units. */
    private final int scaleBytes;

    private final SmallProduct smallProduct;

    /**
     * Launches of products with up to 8 rows of activations; see {@code linear.cuh}.
     *
     * @param sharedBytes of a block
     * @param blocks that a multiprocessor holds
     */
    record SmallProduct(int sharedBytes, int blocks) {}

    MatrixType(String suffix, int unitColumns, int scaleBytes, SmallProduct smallProduct) {
        this.smallProduct = smallProduct;
        this.suffix = suffix;
        this.unitColumns = unitColumns;
        this.scaleBytes = scaleBytes;
    }

    /** The layout of a stored type; {@link TensorType#Q8_0}'s for those that {@link #uploadedType} converts. */
    static MatrixType of(TensorType type) {
        return switch (type) {
            case F32, F16, BF16 -> F16;
            case Q6_K -> Q8S16;
            case Q4_0 -> Q4;
            case Q4_1, Q4_K -> Q4M;
            default -> Q8;
        };
    }

    /** The type that a matrix is sent to the device as: types without a layout of their own become Q8_0. */
    static TensorType uploadedType(TensorType type) {
        return of(type) == Q8 ? TensorType.Q8_0 : type;
    }

    SmallProduct smallProduct() {
        return smallProduct;
    }

    /** The name that kernels for this layout end with. */
    String suffix() {
        return suffix;
    }

    /** Bytes of all units of a matrix. */
    long unitBytes(int rows, int columns) {
        return (long) tiles(rows) * units(columns) * UNIT_BYTES;
    }

    /** Bytes of all scales of a matrix. */
    long scaleBytes(int rows, int columns) {
        int groups = (units(columns) + GROUP_UNITS - 1) / GROUP_UNITS;
        return (long) tiles(rows) * groups * scaleBytes;
    }

    private static int tiles(int rows) {
        return (rows + TILE - 1) / TILE;
    }

    private int units(int columns) {
        return (columns + unitColumns - 1) / unitColumns;
    }
}
