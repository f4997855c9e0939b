package io.github.skim4j.cli.bench;

import io.github.skim4j.engine.backend.BackendProvider;
import io.github.skim4j.engine.kv.KvCacheConfig;
import io.github.skim4j.engine.model.ModelConfig;
import io.github.skim4j.engine.model.ModelWeights;
import io.github.skim4j.engine.model.Tensor;
import io.github.skim4j.engine.model.TensorRole;
import io.github.skim4j.engine.model.WeightFormat;

/**
 * The least time that a decode step with dense attention can take: that of reading, once, the weights and all keys and values.
 *
 * @param weightBytes of the matrices that a step multiplies with
 * @param tokenBytes keys and values of a token, over all layers
 * @param batch sequences that decode together
 * @param bandwidth bytes a second
 */
record Floor(ModelConfig config, long weightBytes, long tokenBytes, int batch, double bandwidth) {

    /** @param provider whose matrices have types of its own in memory */
    static Floor of(
            ModelWeights weights,
            WeightFormat format,
            BackendProvider provider,
            KvCacheConfig kvCache,
            int batch,
            double bandwidth) {
        ModelConfig config = weights.config();
        long bytes = 0;
        for (TensorRole role : TensorRole.values()) {
            int layers = role.perLayer() ? config.layers() : 1;
            for (int layer = 0; layer < layers && isRead(role, config); layer++) {
                Tensor matrix = weights.require(role, layer);
                bytes += provider.computedType(format.loadedType(matrix, role))
                        .bytes((long) matrix.rows() * matrix.columns());
            }
        }
        return new Floor(config, bytes, kvCache.tokenBytes(config), batch, bandwidth);
    }

    /** Of the embedding a step reads a row for each sequence, which is nothing, unless it is the output matrix too. */
    private static boolean isRead(TensorRole role, ModelConfig config) {
        return switch (role) {
            case TOKEN_EMBEDDING -> config.tiedEmbeddings();
            case OUTPUT -> !config.tiedEmbeddings();
            default -> role.isMatrix();
        };
    }

    /** Seconds of a step of all sequences at this depth. */
    double stepSeconds(int depth) {
        long tokensOfLayers = 0;
        for (int layer = 0; layer < config.layers(); layer++) {
            tokensOfLayers += Math.min(depth, config.window(layer));
        }
        return (weightBytes + (double) batch * tokensOfLayers * tokenBytes / config.layers()) / bandwidth;
    }
}
