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

    /** Of 8 rows of activations each. */
    private static final int MOST_COLUMN_TILES = FEW_ROWS / 8;

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
    /** Shared memory of the warpgroups' kernels. */
    private final Map<String, Integer> sharedBytes = new HashMap<>();

    /** Matrix of 16-bit floats that a tensor map describes. */
    private record MapKey(long address, int rows, int columns, int stride) {}

    /**
     * How Hopper's warpgroups share the product of up to 64 rows; see {@code warpgroup.cuh}.
     *
     * @param name what the kernel's name ends with
     * @param warpgroups of a block that share activations
     * @param columns of such warpgroups in a block
     * @param cluster blocks of a cluster
     * @param weightRows most rows of weights a multiprocessor for which all clusters run at once
     * @param columnTiles most column tiles
     */
    private record Shape(String name, int warpgroups, int columns, int cluster, int weightRows, int columnTiles) {

        /** One for each warp of the warpgroups. */
        private int tiles() {
            return 4 * warpgroups;
        }

        /** Four more warps fetch the activations. */
        int threads() {
            return 32 * (tiles() * columns + 4);
        }

        int sets(int tiles) {
            return (tiles + tiles() - 1) / tiles();
        }

        String kernel(MatrixType type, int columnTiles) {
            return fewRowsKernel(type, columnTiles) + "_" + name;
        }
    }

    /**
     * The fewer rows the weights have, the more warpgroups share their columns. Clusters of 4 leave some multiprocessors idle; w3c2 has
     * no room for the sums of 64 rows.
     */
    private static final List<Shape> SHAPES = List.of(
            new Shape("w1p2c2", 1, 2, 2, 32, MOST_COLUMN_TILES),
            new Shape("w4c4", 4, 1, 4, 58, MOST_COLUMN_TILES),
            new Shape("w3c2", 3, 1, 2, 96, MOST_COLUMN_TILES / 2),
            new Shape("w3", 3, 1, 1, 192, MOST_COLUMN_TILES),
            new Shape("w4", 4, 1, 1, 256, MOST_COLUMN_TILES));

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
        if (hopper) {
            readSharedBytes();
        }
    }

    /** Of all kernels, as it can't be done while a graph is captured. */
    private void readSharedBytes() {
        for (MatrixType type : MatrixType.values()) {
            for (int columnTiles = 2; columnTiles <= MOST_COLUMN_TILES; columnTiles *= 2) {
                for (Shape shape : SHAPES) {
                    if (columnTiles <= shape.columnTiles) {
                        String kernel = shape.kernel(type, columnTiles);
                        sharedBytes.put(kernel, device.constant(kernel + "_shared"));
                    }
                }
            }
        }
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
        // Column tiles of 8 rows: 1, 2, 4 or 8.
        int columnTiles = Integer.highestOneBit(Math.max(1, 2 * ((rows + 7) / 8) - 1));
        int tiles = (w.rows() + MatrixType.TILE - 1) / MatrixType.TILE;
        String kernel = fewRowsKernel(w.type(), columnTiles);
        int threads = FEW_ROWS_THREADS;
        int blocks;
        int bytes = 0;
        if (columnTiles == 1) {
            SmallProduct launch = w.type().smallProduct();
            blocks = Math.min(tiles, launch.blocks() * device.multiprocessors());
            bytes = launch.sharedBytes();
        } else if (hopper) {
            Shape shape = shape(w.rows(), columnTiles);
            kernel = shape.kernel(w.type(), columnTiles);
            int sets = shape.sets(tiles);
            blocks = shape.cluster == 1 ? Math.min(sets, device.multiprocessors()) : sets * shape.cluster;
            threads = shape.threads();
            bytes = sharedBytes.get(kernel);
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
        device.kernel(kernel).withSharedMemory(bytes).launch(stream, blocks, 1, 1, threads, bytes, arguments);
    }

    private static String fewRowsKernel(MatrixType type, int columnTiles) {
        return "linear_" + type.suffix() + "_" + columnTiles;
    }

    /** The first in which all clusters run at once; the last takes turns. */
    private Shape shape(int weightRows, int columnTiles) {
        return SHAPES.stream()
                .filter(shape ->
                        columnTiles <= shape.columnTiles && weightRows <= shape.weightRows * device.multiprocessors())
                .findFirst()
                .orElse(SHAPES.get(SHAPES.size() - 1));
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
