package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.model.Quantization;
import io.github.skim4j.engine.model.Tensor;
import io.github.skim4j.engine.model.TensorRole;
import io.github.skim4j.engine.model.TensorType;
import io.github.skim4j.engine.model.WeightFormat;
import java.util.List;

/** Reads stored tensors into packed matrices, some panels at a time, through buffers that each thread keeps, so that loading leaves no garbage. */
final class MatrixLoader {

    /** About what is read at once. */
    private static final int READ_BYTES = 256 << 10;

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

    /** A matrix and what it is for. */
    record Source(Tensor tensor, TensorRole role) {}

    /** Loads a big matrix with all threads. */
    PackedMatrix load(Source source) {
        PackedMatrix matrix = empty(source);
        int step = panelsAtOnce(source);
        int steps = (matrix.panels + step - 1) / step;
        team.run(steps, (worker, i) -> loadPanels(source, matrix, i * step, step, buffers[worker]));
        return matrix;
    }

    /** Loads each matrix with one thread: making its arrays, which Java fills with zeros, takes about as long as filling them. */
    PackedMatrix[] loadEach(List<Source> sources) {
        PackedMatrix[] matrices = new PackedMatrix[sources.size()];
        team.run(matrices.length, (worker, i) -> {
            Source source = sources.get(i);
            PackedMatrix matrix = empty(source);
            int step = panelsAtOnce(source);
            for (int panel = 0; panel < matrix.panels; panel += step) {
                loadPanels(source, matrix, panel, step, buffers[worker]);
            }
            matrices[i] = matrix;
        });
        return matrices;
    }

    private int panelsAtOnce(Source source) {
        return Math.max(1, READ_BYTES / lanes / source.tensor.rowBytes());
    }

    private PackedMatrix empty(Source source) {
        Tensor tensor = source.tensor;
        return new PackedMatrix(format.loadedType(tensor, source.role), tensor.rows(), tensor.columns(), lanes);
    }

    private void loadPanels(Source source, PackedMatrix matrix, int panel, int panels, Buffers buffers) {
        Tensor tensor = source.tensor;
        TensorType target = format.loadedType(tensor, source.role);
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
