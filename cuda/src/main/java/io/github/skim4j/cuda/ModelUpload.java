package io.github.skim4j.cuda;

import io.github.skim4j.cuda.CudaModel.Layer;
import io.github.skim4j.cuda.CudaModel.Linear;
import io.github.skim4j.engine.model.ModelConfig;
import io.github.skim4j.engine.model.ModelWeights;
import io.github.skim4j.engine.model.Tensor;
import io.github.skim4j.engine.model.TensorRole;
import io.github.skim4j.engine.model.TensorType;
import io.github.skim4j.engine.model.WeightFormat;
import java.util.ArrayList;
import java.util.List;

/** Lays out a model in device memory and lists what has to be sent there. */
final class ModelUpload {

    private final CudaDevice device;
    private final ModelWeights weights;
    private final ModelConfig config;
    private final WeightFormat format;
    /** Those of a list share tiles. */
    private final List<List<MatrixPart>> parts = new ArrayList<>();

    private ModelUpload(CudaDevice device, ModelWeights weights, WeightFormat format) {
        this.device = device;
        this.weights = weights;
        this.config = weights.config();
        this.format = format;
    }

    /**
     * A stored matrix that becomes rows of a device matrix.
     *
     * @param type sent to the device
     * @param paired whether rows go in groups of 8 to every other half of a tile
     * @param rowOffset of the first row
     */
    record MatrixPart(Tensor tensor, TensorType type, DeviceMatrix target, boolean paired, int rowOffset) {}

    /** Reads, converts and sends all weights. */
    static CudaModel upload(CudaDevice device, ModelWeights weights, WeightFormat format) {
        ModelUpload upload = new ModelUpload(device, weights, format);
        CudaModel model = upload.layOut();
        new WeightStream(device).send(upload.parts);
        return model;
    }

    private CudaModel layOut() {
        DeviceMatrix embedding = matrix(TensorRole.TOKEN_EMBEDDING, 0);
        List<Layer> layers = new ArrayList<>();
        for (int i = 0; i < config.layers(); i++) {
            layers.add(new Layer(
                    vector(weights.require(TensorRole.ATTENTION_NORM, i)),
                    inputs(i),
                    config.qkNorm() ? vector(weights.require(TensorRole.QUERY_NORM, i)) : null,
                    config.qkNorm() ? vector(weights.require(TensorRole.KEY_NORM, i)) : null,
                    linear(TensorRole.ATTENTION_OUTPUT, TensorRole.ATTENTION_OUTPUT_BIAS, i),
                    vector(weights.require(TensorRole.FFN_NORM, i)),
                    gateUp(i),
                    linear(TensorRole.DOWN, TensorRole.DOWN_BIAS, i)));
        }
        return new CudaModel(
                config,
                embedding,
                List.copyOf(layers),
                vector(weights.require(TensorRole.OUTPUT_NORM, 0)),
                config.tiedEmbeddings() ? embedding : matrix(TensorRole.OUTPUT, 0));
    }

    private List<Linear> inputs(int layer) {
        List<TensorRole> roles = List.of(TensorRole.QUERY, TensorRole.KEY, TensorRole.VALUE);
        List<TensorRole> biases = List.of(TensorRole.QUERY_BIAS, TensorRole.KEY_BIAS, TensorRole.VALUE_BIAS);
        List<MatrixType> types = roles.stream()
                .map(role -> MatrixType.of(uploadedType(role, layer)))
                .distinct()
                .toList();
        // Heads are whole tiles, so that no tile belongs to two of them.
        if (types.size() > 1) {
            List<Linear> apart = new ArrayList<>();
            for (int i = 0; i < roles.size(); i++) {
                apart.add(linear(roles.get(i), biases.get(i), layer));
            }
            return List.copyOf(apart);
        }
        int rows = roles.stream().mapToInt(role -> role.rows(config)).sum();
        DeviceMatrix all = DeviceMatrix.allocate(device, types.get(0), rows, config.hiddenSize());
        float[] bias = new float[rows];
        boolean biased = false;
        int offset = 0;
        for (int i = 0; i < roles.size(); i++) {
            TensorRole role = roles.get(i);
            parts.add(List.of(part(role, layer, uploadedType(role, layer), all, false, offset)));
            Tensor vector = weights.find(biases.get(i), layer);
            if (vector != null) {
                biased = true;
                float[] values = vector.toFloats();
                System.arraycopy(values, 0, bias, offset, values.length);
            }
            offset += role.rows(config);
        }
        return List.of(new Linear(all, biased ? device.upload(bias, DeviceMatrix.vector(device, rows)) : null));
    }

    /** Both have one type on the device: Q8_0 where the file has two. */
    private Linear gateUp(int layer) {
        TensorType gate = uploadedType(TensorRole.GATE, layer);
        TensorType up = uploadedType(TensorRole.UP, layer);
        if (MatrixType.of(gate) != MatrixType.of(up)) {
            gate = TensorType.Q8_0;
            up = TensorType.Q8_0;
        }
        int width = config.intermediateSize();
        int half = MatrixType.TILE / 2;
        int rows = (width + half - 1) / half * MatrixType.TILE;
        DeviceMatrix both = DeviceMatrix.allocate(device, MatrixType.of(gate), rows, config.hiddenSize());
        parts.add(List.of(
                part(TensorRole.GATE, layer, gate, both, true, 0), part(TensorRole.UP, layer, up, both, true, half)));
        Tensor gateBias = weights.find(TensorRole.GATE_BIAS, layer);
        Tensor upBias = weights.find(TensorRole.UP_BIAS, layer);
        if (gateBias == null && upBias == null) {
            return new Linear(both, null);
        }
        float[] bias = new float[rows];
        pair(gateBias, bias, 0);
        pair(upBias, bias, half);
        return new Linear(both, device.upload(bias, DeviceMatrix.vector(device, rows)));
    }

    private static void pair(Tensor vector, float[] target, int offset) {
        int half = MatrixType.TILE / 2;
        float[] values = vector == null ? new float[0] : vector.toFloats();
        for (int i = 0; i < values.length; i++) {
            target[i / half * MatrixType.TILE + i % half + offset] = values[i];
        }
    }

    private Linear linear(TensorRole role, TensorRole bias, int layer) {
        Tensor vector = weights.find(bias, layer);
        return new Linear(matrix(role, layer), vector == null ? null : vector(vector));
    }

    private DeviceMatrix matrix(TensorRole role, int layer) {
        TensorType type = uploadedType(role, layer);
        DeviceMatrix matrix =
                DeviceMatrix.allocate(device, MatrixType.of(type), role.rows(config), role.columns(config));
        parts.add(List.of(part(role, layer, type, matrix, false, 0)));
        return matrix;
    }

    private MatrixPart part(
            TensorRole role, int layer, TensorType type, DeviceMatrix target, boolean paired, int rowOffset) {
        return new MatrixPart(weights.require(role, layer), type, target, paired, rowOffset);
    }

    private TensorType uploadedType(TensorRole role, int layer) {
        return MatrixType.uploadedType(format.loadedType(weights.require(role, layer), role));
    }

    private DeviceBuffer vector(Tensor tensor) {
        return device.upload(tensor.toFloats(), DeviceMatrix.vector(device, tensor.columns()));
    }
}
