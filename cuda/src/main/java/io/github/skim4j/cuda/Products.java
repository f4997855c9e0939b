package io.github.skim4j.cuda;

import io.github.skim4j.cuda.CudaModel.Linear;
import io.github.skim4j.cuda.MatrixType.SmallProduct;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import jcuda.Pointer;
import jcuda.driver.JCudaDriver;

/**
 * Products of weights with rows of activations. Few rows multiply the packed weights as they are read; for many, weights are unpacked to
 * 16-bit floats first, which tensor cores then multiply at their full rate.
 */
final class Products {

    /** What becomes of a product. */
    enum Target {
        /** floats [row][yStride] = product + bias */
        STORE,
        /** floats [row][yStride] += product + bias */
        ADD,
        /** 16-bit floats: silu(gate) * up / {@link #ACTIVATION_SCALE} of a paired matrix */
        ACTIVATE
    }

    /** Activations are kept this much smaller, inside the range of 16-bit floats, and the next product makes up for it. */
    static final float ACTIVATION_SCALE = 64;

    /** Most rows for which weights are multiplied as they are packed. */
    static final int FEW_ROWS = 64;

    private static final int FEW_ROWS_THREADS = 256;

    /** Blocks of a cluster. */
    private static final int CLUSTER = 8;

    /** Rows of a quantised matrix from which on clusters pay. */
    private static final int MANY_WEIGHT_ROWS = 6144;

    private static final int UNPACK_THREADS = 256;

    private static final int HOPPER = 90;
    private static final int MAP_BYTES = 128;
    private static final int MAP_ALIGNMENT = 64;
    private static final int HOPPER_THREADS = 384;
    private static final int HOPPER_SHARED_BYTES = 200 << 10;

    private final CudaDevice device;
    private final CudaStream stream;
    private final boolean hopper;
    private final DeviceBuffer unpacked;
    private final Map<MapKey, long[]> maps = new HashMap<>();

    /** Matrix of 16-bit floats that a tensor map describes. */
    private record MapKey(long address, int rows, int columns, int stride) {}

    /** A tiling of the product for GPUs without Hopper's instructions. */
    private record Tiling(String kernel, int rows, int columns, int threads, int sharedBytes) {

        int blocks(int m, int n) {
            return (m + rows - 1) / rows * ((n + columns - 1) / columns);
        }
    }

    /** From the most efficient one to the one that cuts small products into enough blocks. */
    private static final List<Tiling> TILINGS = List.of(
            new Tiling("gemm_f16_128x256", 128, 256, 256, 96 << 10),
            new Tiling("gemm_f16_128x128", 128, 128, 128, 48 << 10),
            new Tiling("gemm_f16_64x64", 64, 64, 128, 32 << 10));

    /**
     * @param largest the largest matrix that many rows are multiplied with, in numbers, rows padded
     */
    Products(CudaDevice device, long largest) {
        this.device = device;
        this.stream = device.stream();
        this.hopper = device.capability() == HOPPER;
        this.unpacked = device.allocate(
                largest * Short.BYTES, "unpacked weights", "Choose weights: q4_0, a smaller model, or device: cpu");
    }

    /** Numbers that an unpacked matrix takes. */
    static long unpackedSize(DeviceMatrix matrix) {
        int rows = (matrix.rows() + MatrixType.TILE - 1) / MatrixType.TILE * MatrixType.TILE;
        return (long) rows * HalfRows.stride(matrix.columns());
    }

    /**
     * Multiplies rows {@code 0} to {@code rows}.
     *
     * @param scale of the product
     * @param y address of the result's first row
     */
    void multiply(Linear linear, HalfRows x, int rows, Target target, float scale, long y, int yStride) {
        if (rows <= FEW_ROWS) {
            multiplyFew(linear, x, rows, target, scale, y, yStride);
        } else {
            multiplyMany(linear, x, rows, target, scale, y, yStride);
        }
    }

    private void multiplyFew(Linear linear, HalfRows x, int rows, Target target, float scale, long y, int yStride) {
        DeviceMatrix w = linear.weight();
        SmallProduct launch = w.type().smallProduct();
        // Column tiles of 8 rows: 1, 2, 4 or 8.
        int columnTiles = Integer.highestOneBit(Math.max(1, 2 * ((rows + 7) / 8) - 1));
        int tiles = (w.rows() + MatrixType.TILE - 1) / MatrixType.TILE;
        String kernel = "linear_" + w.type().suffix() + "_" + columnTiles;
        int blocks;
        int sharedBytes = 0;
        if (columnTiles == 1) {
            blocks = Math.min(tiles, launch.streamBlocks() * device.multiprocessors());
            sharedBytes = launch.streamBytes();
        } else if (sharesColumns(w, columnTiles)) {
            int variant = Integer.numberOfTrailingZeros(columnTiles) - 1;
            int tilesOfCluster = CLUSTER * launch.clusterTiles()[variant];
            kernel += "_cluster";
            blocks = (tiles + tilesOfCluster - 1) / tilesOfCluster * CLUSTER;
            sharedBytes = launch.clusterBytes()[variant];
        } else {
            int tilesOfBlock = columnTiles == 2 ? 1 : 2;
            blocks = (tiles + tilesOfBlock - 1) / tilesOfBlock;
        }
        Arguments arguments = new Arguments()
                .address(w.units())
                .address(w.scales())
                .integer(w.rows())
                .integer(w.columns())
                .address(x.buffer())
                .integer(x.stride())
                .integer(rows);
        addResult(arguments, linear, target, scale, y, yStride);
        device.kernel(kernel)
                .withSharedMemory(sharedBytes)
                .launch(stream, blocks, 1, 1, FEW_ROWS_THREADS, sharedBytes, arguments);
    }

    /** Whether clusters, which each read all of some rows' activations, are faster than blocks with rows of their own. */
    private boolean sharesColumns(DeviceMatrix w, int columnTiles) {
        int bytes = w.type().smallProduct().clusterBytes()[Integer.numberOfTrailingZeros(columnTiles) - 1];
        boolean pays = w.type() == MatrixType.F16 || w.type() == MatrixType.Q8S16 || w.rows() >= MANY_WEIGHT_ROWS;
        return device.capability() >= HOPPER && bytes <= device.sharedMemory() && pays;
    }

    private void multiplyMany(Linear linear, HalfRows x, int rows, Target target, float scale, long y, int yStride) {
        DeviceMatrix w = linear.weight();
        int stride = HalfRows.stride(w.columns());
        device.kernel("unpack_" + w.type().suffix())
                .launch(
                        stream,
                        8 * device.multiprocessors(),
                        1,
                        1,
                        UNPACK_THREADS,
                        0,
                        new Arguments()
                                .address(w.units())
                                .address(w.scales())
                                .integer(w.rows())
                                .integer(w.columns())
                                .address(unpacked)
                                .integer(stride));
        // Of a paired matrix the last tile may be partly empty; its outputs are what is counted.
        int n = w.rows();
        if (hopper) {
            multiplyOnHopper(linear, x, rows, n, stride, target, scale, y, yStride);
            return;
        }
        Tiling tiling = TILINGS.stream()
                .filter(candidate -> candidate.blocks(rows, n) >= device.multiprocessors())
                .findFirst()
                .orElse(TILINGS.get(TILINGS.size() - 1));
        Arguments arguments = new Arguments()
                .address(x.buffer())
                .integer(x.stride())
                .address(unpacked)
                .integer(stride)
                .integer(rows)
                .integer(n)
                .integer(stride);
        addResult(arguments, linear, target, scale, y, yStride);
        device.kernel(tiling.kernel)
                .withSharedMemory(tiling.sharedBytes)
                .launch(stream, tiling.blocks(rows, n), 1, 1, tiling.threads, tiling.sharedBytes, arguments);
    }

    private void multiplyOnHopper(
            Linear linear, HalfRows x, int m, int n, int k, Target target, float scale, long y, int yStride) {
        int rowTiles = (m + 127) / 128;
        int wide = (n + 255) / 256 * rowTiles;
        int narrow = (n + 127) / 128 * rowTiles;
        int processors = device.multiprocessors();
        String kernel;
        int blocks;
        if (wide >= 2 * processors) {
            kernel = "gemm_f16_sm90_256";
            blocks = 2 * Math.min((wide + 1) / 2, processors / 2);
        } else if (2 * narrow > processors) {
            kernel = "gemm_f16_sm90_128";
            blocks = Math.min(narrow, processors);
        } else {
            int split = 4 * narrow > processors ? 2 : 4;
            kernel = "gemm_f16_sm90_128_split" + split;
            blocks = narrow * split;
        }
        Arguments arguments = new Arguments();
        tensorMap(arguments, x.buffer().address(), x.capacity(), x.stride(), x.stride());
        tensorMap(arguments, unpacked.address(), n, k, k);
        arguments.integer(m).integer(n).integer(k);
        addResult(arguments, linear, target, scale, y, yStride);
        device.kernel(kernel)
                .withSharedMemory(HOPPER_SHARED_BYTES)
                .launch(stream, blocks, 1, 1, HOPPER_THREADS, HOPPER_SHARED_BYTES, arguments);
    }

    private static void addResult(Arguments arguments, Linear linear, Target target, float scale, long y, int yStride) {
        arguments
                .address(linear.bias())
                .real(scale)
                .integer(target.ordinal())
                .address(y)
                .integer(yStride);
    }

    /** Adds a tensor map, which a kernel makes once: the driver's own function is not among JCuda's. */
    private void tensorMap(Arguments arguments, long address, int rows, int columns, int stride) {
        long[] map = maps.computeIfAbsent(new MapKey(address, rows, columns, stride), this::makeMap);
        arguments.block(map, MAP_ALIGNMENT);
    }

    private long[] makeMap(MapKey key) {
        long[] map = new long[MAP_BYTES / Long.BYTES];
        try (DeviceBuffer buffer =
                device.allocate(MAP_BYTES, "a tensor map", "Close other programs that use the GPU")) {
            device.kernel("tensor_map")
                    .launch(
                            stream,
                            1,
                            1,
                            1,
                            1,
                            0,
                            new Arguments()
                                    .address(key.address)
                                    .integer(key.rows)
                                    .integer(key.columns)
                                    .integer(key.stride)
                                    .address(buffer));
            Driver.check(
                    JCudaDriver.cuMemcpyDtoHAsync(Pointer.to(map), buffer.pointer(), MAP_BYTES, stream),
                    "cuMemcpyDtoHAsync");
            device.synchronize();
        }
        return map;
    }
}
