package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.model.ModelConfig;
import io.github.skim4j.engine.model.ModelWeights;
import io.github.skim4j.engine.model.Tensor;
import io.github.skim4j.engine.model.TensorRole;
import java.util.ArrayList;
import java.util.List;

/** A model's weights in memory. Vectors that a model lacks are {@code null}. */
record CpuModel(
        ModelConfig config, PackedMatrix embedding, List<Layer> layers, float[] outputNorm, PackedMatrix output) {

    /** A linear layer: [out][in] and a bias of [out]. */
    record Linear(PackedMatrix weight, float[] bias) {}

    /** A transformer block. */
    record Layer(
            float[] attentionNorm,
            Linear query,
            Linear key,
            Linear value,
            float[] queryNorm,
            float[] keyNorm,
            Linear attentionOutput,
            float[] ffnNorm,
            Linear gate,
            Linear up,
            Linear down) {}

    /** Matrices of a layer. */
    private static final List<TensorRole> MATRICES = List.of(
            TensorRole.QUERY,
            TensorRole.KEY,
            TensorRole.VALUE,
            TensorRole.ATTENTION_OUTPUT,
            TensorRole.GATE,
            TensorRole.UP,
            TensorRole.DOWN);

    static CpuModel load(ModelWeights weights, MatrixLoader loader) {
        ModelConfig config = weights.config();
        PackedMatrix embedding = loader.load(source(weights, TensorRole.TOKEN_EMBEDDING, 0));
        List<MatrixLoader.Source> sources = new ArrayList<>();
        for (int i = 0; i < config.layers(); i++) {
            for (TensorRole role : MATRICES) {
                sources.add(source(weights, role, i));
            }
        }
        List<PackedMatrix> matrices = List.of(loader.loadEach(sources));
        List<Layer> layers = new ArrayList<>();
        for (int i = 0; i < config.layers(); i++) {
            List<PackedMatrix> own = matrices.subList(i * MATRICES.size(), (i + 1) * MATRICES.size());
            layers.add(new Layer(
                    required(weights, TensorRole.ATTENTION_NORM, i),
                    linear(weights, own, TensorRole.QUERY, TensorRole.QUERY_BIAS, i),
                    linear(weights, own, TensorRole.KEY, TensorRole.KEY_BIAS, i),
                    linear(weights, own, TensorRole.VALUE, TensorRole.VALUE_BIAS, i),
                    config.qkNorm() ? required(weights, TensorRole.QUERY_NORM, i) : null,
                    config.qkNorm() ? required(weights, TensorRole.KEY_NORM, i) : null,
                    linear(weights, own, TensorRole.ATTENTION_OUTPUT, TensorRole.ATTENTION_OUTPUT_BIAS, i),
                    required(weights, TensorRole.FFN_NORM, i),
                    linear(weights, own, TensorRole.GATE, TensorRole.GATE_BIAS, i),
                    linear(weights, own, TensorRole.UP, TensorRole.UP_BIAS, i),
                    linear(weights, own, TensorRole.DOWN, TensorRole.DOWN_BIAS, i)));
        }
        return new CpuModel(
                config,
                embedding,
                List.copyOf(layers),
                required(weights, TensorRole.OUTPUT_NORM, 0),
                config.tiedEmbeddings() ? embedding : loader.load(source(weights, TensorRole.OUTPUT, 0)));
    }

    private static MatrixLoader.Source source(ModelWeights weights, TensorRole role, int layer) {
        return new MatrixLoader.Source(weights.require(role, layer), role);
    }

    private static Linear linear(
            ModelWeights weights, List<PackedMatrix> matrices, TensorRole role, TensorRole bias, int layer) {
        Tensor vector = weights.find(bias, layer);
        return new Linear(matrices.get(MATRICES.indexOf(role)), vector == null ? null : vector.toFloats());
    }

    private static float[] required(ModelWeights weights, TensorRole role, int layer) {
        return weights.require(role, layer).toFloats();
    }
}
