package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.model.Quantization;
import io.github.skim4j.engine.model.Tensor;
import io.github.skim4j.engine.model.TensorRole;
import io.github.skim4j.engine.model.TensorType;
import io.github.skim4j.engine.model.WeightFormat;

/** Reads stored tensors into packed matrices, panel by panel, with buffers of one panel for each thread. */
final class MatrixLoader {

    private final WorkerTeam team;
    private final int lanes;
    private final WeightFormat format;

    MatrixLoader(WorkerTeam team, int lanes, WeightFormat format) {
        this.team = team;
        this.lanes = lanes;
        this.format = format;
    }

    PackedMatrix load(Tensor tensor, TensorRole role) {
        TensorType target = format.loadedType(tensor, role);
        PackedMatrix matrix = new PackedMatrix(target, tensor.rows(), tensor.columns(), lanes);
        team.run(matrix.panels, (worker, panel) -> loadPanel(tensor, target, matrix, panel));
        return matrix;
    }

    private void loadPanel(Tensor tensor, TensorType target, PackedMatrix matrix, int panel) {
        int from = panel * lanes;
        int count = Math.min(lanes, tensor.rows() - from);
        byte[] stored = new byte[count * tensor.rowBytes()];
        tensor.read(from, count, stored, 0);
        int columns = tensor.columns();
        int rowBytes = tensor.rowBytes();
        boolean converts = target != tensor.type();
        float[] values = new float[converts || matrix.floats != null ? columns : 0];
        byte[] converted = new byte[converts ? Math.toIntExact(target.bytes(columns)) : 0];
        StoredBlocks blocks = matrix.quantized() ? new StoredBlocks(target, columns) : null;
        for (int i = 0; i < count; i++) {
            byte[] row = stored;
            int at = i * rowBytes;
            if (values.length > 0) {
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
}
