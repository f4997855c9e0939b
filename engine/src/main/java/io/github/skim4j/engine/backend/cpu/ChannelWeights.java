package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.model.ModelConfig;

/** Sums up what {@link io.github.skim4j.engine.backend.Backend#channelWeights} measures. */
final class ChannelWeights {

    private final ModelConfig config;
    /** [layer][kvHead][headDim]: Σ |query| and Σ |key|. */
    private final double[][][] queries;

    private final double[][][] keys;
    private int tokens;

    ChannelWeights(ModelConfig config) {
        this.config = config;
        queries = new double[config.layers()][config.kvHeads()][config.headDim()];
        keys = new double[config.layers()][config.kvHeads()][config.headDim()];
    }

    /** Adds a layer's rows, rotated, [row][heads * headDim] and [row][kvHeads * headDim] with their strides. */
    void add(int layer, int rows, float[] query, int queryStride, float[] key, int keyStride) {
        for (int r = 0; r < rows; r++) {
            add(queries[layer], config.group(), query, r * queryStride);
            add(keys[layer], 1, key, r * keyStride);
        }
        tokens = rows;
    }

    /** Adds |value| of {@code group} heads to each KV head. */
    private void add(double[][] sums, int group, float[] values, int from) {
        int at = from;
        for (double[] head : sums) {
            for (int g = 0; g < group; g++) {
                for (int i = 0; i < head.length; i++) {
                    head[i] += Math.abs(values[at++]);
                }
            }
        }
    }

    float[][][] result() {
        float[][][] weights = new float[config.layers()][config.kvHeads()][config.headDim()];
        double scale = 1.0 / ((double) tokens * tokens * config.group());
        for (int l = 0; l < weights.length; l++) {
            for (int h = 0; h < weights[l].length; h++) {
                for (int i = 0; i < config.headDim(); i++) {
                    weights[l][h][i] = (float) (queries[l][h][i] * keys[l][h][i] * scale);
                }
            }
        }
        return weights;
    }
}
