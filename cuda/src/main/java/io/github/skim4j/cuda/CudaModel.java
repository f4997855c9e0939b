package io.github.skim4j.cuda;

import io.github.skim4j.engine.model.ModelConfig;
import java.util.List;

/**
 * A model's weights on a device. Vectors that a model lacks are {@code null}.
 *
 * @param output the embedding itself where they are tied
 */
record CudaModel(
        ModelConfig config, DeviceMatrix embedding, List<Layer> layers, DeviceBuffer outputNorm, DeviceMatrix output) {

    /** A linear layer; the bias has a value a row. */
    record Linear(DeviceMatrix weight, DeviceBuffer bias) {}

    /**
     * A transformer block.
     *
     * @param inputs query, key and value: one matrix of all rows where their types agree, else three
     * @param gateUp gate and up, 8 rows of each in a tile, so that one warp has both factors of an activation
     */
    record Layer(
            DeviceBuffer attentionNorm,
            List<Linear> inputs,
            DeviceBuffer queryNorm,
            DeviceBuffer keyNorm,
            Linear attentionOutput,
            DeviceBuffer ffnNorm,
            Linear gateUp,
            Linear down) {}
}
