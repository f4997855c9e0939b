package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.attention.Quest.Score;
import io.github.skim4j.engine.model.HalfFloats;
import io.github.skim4j.engine.model.ModelConfig;

/**
 * Statistics of a page's keys in each dimension for {@link io.github.skim4j.engine.attention.Quest}, two bfloat16 in an int at
 * [kvHead][dimension]: the greatest (lower half) and least value (upper half), rounded so that they stay bounds; or mean and variance.
 */
final class PageStatistics extends PageData {

    private final Score score;
    private final int kvHeads;
    private final int headDim;
    private final int[][] pairs;

    PageStatistics(ModelConfig config, int pages, Score score) {
        super(pages, config.layers());
        this.score = score;
        this.kvHeads = config.kvHeads();
        this.headDim = config.headDim();
        pairs = new int[pages * config.layers()][];
    }

    Score score() {
        return score;
    }

    /** The statistics of a page and layer; those of a KV head begin at {@code kvHead * headDim}. */
    int[] of(int page, int layer) {
        return pairs[index(page, layer)];
    }

    @Override
    int bytes() {
        return headDim * Integer.BYTES;
    }

    @Override
    void make(Fill fill, int page) {
        int index = index(page, fill.layer());
        if (pairs[index] == null) {
            pairs[index] = new int[kvHeads * headDim];
        }
        int pageSize = fill.pages().pageSize();
        for (int head = 0; head < kvHeads; head++) {
            fill.pages().keys(page, fill.layer(), head, fill.keys());
            for (int i = 0; i < headDim; i++) {
                pairs[index][head * headDim + i] =
                        score == Score.BOUNDS ? bounds(fill.keys(), i, pageSize) : moments(fill.keys(), i, pageSize);
            }
        }
    }

    private int bounds(float[] keys, int dimension, int pageSize) {
        float max = Float.NEGATIVE_INFINITY;
        float min = Float.POSITIVE_INFINITY;
        for (int t = 0; t < pageSize; t++) {
            float key = keys[t * headDim + dimension];
            max = Math.max(max, key);
            min = Math.min(min, key);
        }
        // The sign bit turned around makes the greatest below into the least above.
        return HalfFloats.floorToBfloat16(-max) & 0xffff ^ 0x8000 | HalfFloats.floorToBfloat16(min) << 16;
    }

    private int moments(float[] keys, int dimension, int pageSize) {
        double sum = 0;
        double squares = 0;
        for (int t = 0; t < pageSize; t++) {
            float key = keys[t * headDim + dimension];
            sum += key;
            squares += (double) key * key;
        }
        double mean = sum / pageSize;
        double variance = Math.max(0, squares / pageSize - mean * mean);
        return HalfFloats.floatToBfloat16((float) mean) & 0xffff | HalfFloats.floatToBfloat16((float) variance) << 16;
    }
}
