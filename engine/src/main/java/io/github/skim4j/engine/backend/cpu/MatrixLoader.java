package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.model.Quantization;
import io.github.skim4j.engine.model.Tensor;
import io.github.skim4j.engine.model.TensorRole;
import io.github.skim4j.engine.model.TensorType;
import io.github.skim4j.engine.model.WeightFormat;
import java.util.concurrent.CancellationException;
import java.util.function.BooleanSupplier;

/** Reads stored tensors into packed matrices, some panels at a time, through buffers that it keeps, so that loading leaves no garbage. Used by one thread. */
final class MatrixLoader {

    /** About what is read at once. */
    private static final int READ_BYTES = 256 << 10;

    private final int lanes;
    private final WeightFormat format;
    private final BooleanSupplier cancelled;
    private final Buffers buffers = new Buffers();

    /** @param cancelled whether to stop, which is asked after each read */
    MatrixLoader(int lanes, WeightFormat format, BooleanSupplier cancelled) {
        this.lanes = lanes;
        this.format = format;
        this.cancelled = cancelled;
    }

    /** @throws CancellationException if it was told to stop */
    PackedMatrix load(Tensor tensor, TensorRole role) {
        TensorType target = format.loadedType(tensor, role);
        PackedMatrix matrix = new PackedMatrix(target, tensor.rows(), tensor.columns(), lanes);
        int step = Math.max(1, READ_BYTES / lanes / tensor.rowBytes());
        for (int panel = 0; panel < matrix.panels; panel += step) {
            if (cancelled.getAsBoolean()) {
                throw new CancellationException("the weights are no longer wanted");
            }
            loadPanels(tensor, target, matrix, panel, step);
        }
        return matrix;
    }

    private void loadPanels(Tensor tensor, TensorType target, PackedMatrix matrix, int panel, int panels) {
        int from = panel * lanes;
        int count = Math.min(panels * lanes, tensor.rows() - from);
        int columns = tensor.columns();
        int rowBytes = tensor.rowBytes();
        byte[] stored = buffers.stored(Math.multiplyExact(count, rowBytes));
        tensor.read(from, count, stored, 0);
        boolean converts = target != tensor.type();
        boolean asFloats = converts || matrix.floats != null;
        float[] values = asFloats ? buffers.values(columns) : null;
        byte[] converted = converts ? buffers.converted(Math.toIntExact(target.bytes(columns))) : null;
        StoredBlocks blocks = matrix.quantized() ? buffers.blocks(target, columns) : null;
        for (int i = 0; i < count; i++) {
            byte[] row = stored;
            int at = i * rowBytes;
            if (asFloats) {
                Quantization.dequantize(tensor.type(), stored, at, values, 0, columns);
            }
            if (converts) {
                Quantization.quantize(target, values, 0, converted, 0, columns);
                row = converted;
                at = 0;
            }
            switch (matrix.layout) {
                case FLOAT -> matrix.setFloats(from + i, values);
                case BFLOAT16, FLOAT16 -> matrix.setShorts(from + i, row, at);
                case BYTES, NIBBLES, SPLIT -> {
                    blocks.read(row, at);
                    matrix.setBlocks(from + i, blocks);
                }
            }
        }
    }

    /** What is read into: arrays that are at least as long as asked for and hold anything. */
    private static final class Buffers {

        private byte[] stored = {};
        private float[] values = {};
        private byte[] converted = {};
        private StoredBlocks blocks;

        byte[] stored(int length) {
            stored = stored.length < length ? new byte[length] : stored;
            return stored;
        }

        float[] values(int length) {
            values = values.length < length ? new float[length] : values;
            return values;
        }

        byte[] converted(int length) {
            converted = converted.length < length ? new byte[length] : converted;
            return converted;
        }

        StoredBlocks blocks(TensorType type, int columns) {
            if (blocks == null || !blocks.fits(type, columns)) {
                blocks = new StoredBlocks(type, columns);
            }
            return blocks;
        }
    }
}
