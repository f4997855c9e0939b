package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.model.ModelConfig;

/**
 * Rotated queries of a step, [row][heads * headDim], rows {@code stride} apart.
 *
 * @param closedUp for rows of sequences with evicted tokens the queries at their place inside the cache
 */
record Queries(float[] positioned, float[] closedUp, int stride) {

    /** Copies a tile's queries of its KV head, row = token * group + head in the group, times 1/√headDim. */
    void gather(ModelConfig config, QueryTile tile, int query, float[] target) {
        float[] queries = query == TokenList.CLOSED_UP ? closedUp : positioned;
        float scale = (float) (1 / Math.sqrt(config.headDim()));
        int width = config.group() * config.headDim();
        for (int t = 0; t < tile.tokens(); t++) {
            int from = (tile.firstRow() + t) * stride + tile.kvHead() * width;
            for (int i = 0; i < width; i++) {
                target[t * width + i] = queries[from + i] * scale;
            }
        }
    }
}
