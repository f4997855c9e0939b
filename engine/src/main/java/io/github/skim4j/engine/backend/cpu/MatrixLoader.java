package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.model.Quantization;
import io.github.skim4j.engine.model.Tensor;
import io.github.skim4j.engine.model.TensorRole;
import io.github.skim4j.engine.model.TensorType;
import io.github.skim4j.engine.model.WeightFormat;

/** Reads stored tensors into packed matrices, panel by panel, through buffers that each thread keeps, so that loading leaves no garbage. */
final class MatrixLoader {

    private final WorkerTeam team;
    private final int lanes;
    private final WeightFormat format;
    /** One for each thread. */
    private final Buffers[] buffers;

    MatrixLoader(WorkerTeam team, int lanes, WeightFormat format) {
        this.team = team;
        this.lanes = lanes;
        this.format = format;
        this.buffers = new Buffers[team.threads()];
        for (int i = 0; i < buffers.length; i++) {
            buffers[i] = new Buffers();
        }
    }

    PackedMatrix load(Tensor tensor, TensorRole role) {
        TensorType target = format.loadedType(tensor, role);
        PackedMatrix matrix = new PackedMatrix(target, tensor.rows(), tensor.columns(), lanes);
        team.run(matrix.panels, (worker, panel) -> loadPanel(tensor, target, matrix, panel, buffers[worker]));
        return matrix;
    }

    private void loadPanel(Tensor tensor, TensorType target, PackedMatrix matrix, int panel, Buffers buffers) {
        int from = panel * lanes;
        int count = Math.min(lanes, tensor.rows() - from);
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

    /** What a thread reads into: arrays that are at least as long as asked for and hold anything. */
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
