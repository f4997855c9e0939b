package io.github.skim4j.engine.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.skim4j.engine.backend.cpu.RandomModels.BlockTensor;
import io.github.skim4j.engine.model.TensorRole;
import io.github.skim4j.engine.model.TensorType;
import io.github.skim4j.engine.model.WeightFormat;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.EnumSource.Mode;

class PackedMatrixTest {

    private static PackedMatrix load(BlockTensor tensor, int lanes) {
        return loader(lanes, WeightFormat.AS_STORED).load(tensor, TensorRole.UP);
    }

    private static MatrixLoader loader(int lanes, WeightFormat format) {
        return new MatrixLoader(lanes, format, () -> false);
    }

    private static BlockTensor tensor(TensorType type, Random random, String[] what) {
        int rows = 1 + random.nextInt(300);
        int columns = Math.max(32, type.blockSize()) * (1 + random.nextInt(12));
        long seed = random.nextLong();
        what[0] = type + " of " + rows + " × " + columns + ", seed " + seed;
        return new BlockTensor("weight", type, rows, columns, seed);
    }

    @ParameterizedTest
    @EnumSource(
            value = TensorType.class,
            mode = Mode.EXCLUDE,
            names = {"Q2_K", "Q3_K", "IQ4_NL", "IQ4_XS"}) // converted
    void keepsTheStoredValues(TensorType type) {
        Random random = new Random(type.ordinal());
        for (int i = 0; i < 5; i++) {
            String[] what = new String[1];
            BlockTensor tensor = tensor(type, random, what);
            PackedMatrix matrix = load(tensor, random.nextBoolean() ? 32 : 64);
            float[] stored = tensor.toFloats();
            float[] row = new float[tensor.columns()];
            for (int r = 0; r < tensor.rows(); r++) {
                matrix.row(r, row, 0);
                for (int k = 0; k < row.length; k++) {
                    float expected = stored[r * row.length + k];
                    // Level times scale and minimum are summed in another order.
                    assertThat(Math.abs(row[k] - expected))
                            .as("%s, row %d, column %d", what[0], r, k)
                            .isLessThanOrEqualTo(1e-5f * Math.max(1e-2f, Math.abs(expected)));
                }
            }
        }
    }

    /** A loader keeps its buffers, which are then longer than needed and full of another tensor's numbers. */
    @Test
    void loadsTensorsOneAfterAnotherAsEachByItself() {
        Random random = new Random(7);
        for (WeightFormat format : WeightFormat.values()) {
            MatrixLoader loader = loader(32, format);
            for (int i = 0; i < 40; i++) {
                TensorType type = TensorType.values()[random.nextInt(TensorType.values().length)];
                String[] what = new String[1];
                BlockTensor tensor = tensor(type, random, what);
                PackedMatrix matrix = loader.load(tensor, TensorRole.UP);
                PackedMatrix alone = loader(32, format).load(tensor, TensorRole.UP);
                float[] row = new float[matrix.columns];
                float[] expected = new float[matrix.columns];
                for (int r = 0; r < matrix.rows; r++) {
                    matrix.row(r, row, 0);
                    alone.row(r, expected, 0);
                    assertThat(row).as("%s, %s, row %d", format, what[0], r).isEqualTo(expected);
                }
            }
        }
    }

    @ParameterizedTest
    @EnumSource(TensorType.class)
    void multipliesAsItsRowsDoWhateverTheTokens(TensorType type) {
        Random random = new Random(100 + type.ordinal());
        for (CpuKernels kernels : SparseFixture.kernels()) {
            MatrixKernels products = kernels.matrix();
            for (int i = 0; i < 3; i++) {
                String[] what = new String[1];
                PackedMatrix matrix = load(tensor(type, random, what), products.lanes());
                int tokens = 1 + random.nextInt(14);
                int stride = matrix.columns + random.nextInt(3);
                float[] x = new float[tokens * stride];
                for (int k = 0; k < x.length; k++) {
                    x[k] = (float) random.nextGaussian();
                }
                float[] all = multiply(products, matrix, x, stride, tokens);
                float[] row = new float[matrix.columns];
                for (int t = 0; t < tokens; t++) {
                    float[] one = new float[matrix.columns];
                    System.arraycopy(x, t * stride, one, 0, one.length);
                    float[] single = multiply(products, matrix, one, one.length, 1);
                    for (int r = 0; r < matrix.rows; r++) {
                        matrix.row(r, row, 0);
                        double sum = 0;
                        double size = 0;
                        for (int k = 0; k < one.length; k++) {
                            sum += (double) row[k] * one[k];
                            size += Math.abs((double) row[k] * one[k]);
                        }
                        String where =
                                what[0] + ", " + kernels.name() + ", token " + t + " of " + tokens + ", row " + r;
                        assertThat(Math.abs(single[r] - sum)).as(where).isLessThan(1e-5 * size + 1e-6);
                        assertThat(all[t * matrix.paddedRows() + r]).as(where).isEqualTo(single[r]);
                    }
                }
            }
        }
    }

    private static float[] multiply(MatrixKernels products, PackedMatrix matrix, float[] x, int stride, int tokens) {
        float[] sums = new float[tokens * (matrix.columns / MatrixInput.SUM_BLOCK)];
        int tile = products.tile();
        int tiles = tile == 0 ? 0 : (tokens + tile - 1) / tile;
        MatrixInput input =
                new MatrixInput(x, stride, matrix.columns, tokens, sums, new float[tiles * tile * matrix.columns]);
        for (int t = 0; t < tokens; t++) {
            input.sum(t);
        }
        for (int i = 0; i < tiles; i++) {
            input.fillTile(i, tile);
        }
        float[] output = new float[tokens * matrix.paddedRows()];
        MatrixScratch scratch = new MatrixScratch(products.lanes());
        for (int panel = 0; panel < matrix.panels; panel++) {
            products.multiply(matrix, panel, input, output, matrix.paddedRows(), scratch);
        }
        return output;
    }

    @ParameterizedTest
    @EnumSource(
            value = TensorType.class,
            mode = Mode.EXCLUDE,
            names = {"Q2_K", "Q3_K", "IQ4_NL", "IQ4_XS"}) // converted
    void takesAtMostThreeTenthsMoreMemoryThanTheFile(TensorType type) {
        int rows = 256;
        int columns = 1024;
        for (int lanes : List.of(16, 32, 64)) {
            PackedMatrix matrix = new PackedMatrix(type, rows, columns, lanes);
            long bytes = bytes(matrix);
            double ratio = (double) bytes / (rows * type.bytes(columns));
            assertThat(ratio).as("%s, %d lanes", type, lanes).isBetween(1.0, 1.3);
        }
    }

    @ParameterizedTest
    @EnumSource(
            value = TensorType.class,
            mode = Mode.EXCLUDE,
            names = {"Q2_K", "Q3_K", "IQ4_NL", "IQ4_XS"}) // converted
    void takesTheMemoryThatItSaysBeforehand(TensorType type) {
        for (int lanes : List.of(16, 32, 64)) {
            for (int columns : List.of(256, 1536)) {
                long bytes = bytes(new PackedMatrix(type, 250, columns, lanes));
                assertThat(bytes - PackedMatrix.bytes(type, 250, columns, lanes))
                        .as("%s, %d lanes, %d columns", type, lanes, columns)
                        .isBetween(0L, 2L * PackedMatrix.OVERREAD);
            }
        }
    }

    private static long bytes(PackedMatrix matrix) {
        return bytes(matrix.floats)
                + (matrix.shorts == null ? 0 : 2L * matrix.shorts.length)
                + bytes(matrix.bytes)
                + bytes(matrix.nibbles)
                + bytes(matrix.highs)
                + bytes(matrix.lows)
                + bytes(matrix.scales)
                + bytes(matrix.mins)
                + bytes(matrix.minLevels);
    }

    private static long bytes(float[] array) {
        return array == null ? 0 : 4L * array.length;
    }

    private static long bytes(int[] array) {
        return array == null ? 0 : 4L * array.length;
    }

    private static long bytes(byte[] array) {
        return array == null ? 0 : array.length;
    }
}
