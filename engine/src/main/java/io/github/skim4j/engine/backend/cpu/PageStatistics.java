package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.attention.Quest.Score;
import io.github.skim4j.engine.model.HalfFloats;
import io.github.skim4j.engine.model.ModelConfig;

/**
 * Statistics of a page's keys in each dimension for {@link io.github.skim4j.engine.attention.Quest}, two bfloat16 in an int for
 * each dimension: the greatest (lower half) and least value (upper half), rounded so that they stay bounds; or mean and variance.
 */
final class PageStatistics extends PageData {

    private final Score score;
    private final int kvHeads;
    private final int headDim;
    private final int[][] blocks;

    PageStatistics(ModelConfig config, int pages, Score score) {
        super(pages, config.layers());
        this.score = score;
        this.kvHeads = config.kvHeads();
        this.headDim = config.headDim();
        blocks = new int[blocks()][];
    }

    Score score() {
        return score;
    }

    /** The array that has the statistics of a page and layer. */
    int[] of(int page, int layer) {
        return blocks[block(page, layer)];
    }

    /** Where in it those of a page and KV head begin. */
    int offset(int page, int kvHead) {
        return place(page, kvHead) * headDim;
    }

    @Override
    int bytes() {
        return headDim * Integer.BYTES;
    }

    @Override
    void make(Fill fill, int page) {
        int[] pairs = of(page, fill.layer());
        int pageSize = fill.pages().pageSize();
        for (int head = 0; head < kvHeads; head++) {
            fill.pages().keys(page, fill.layer(), head, fill.keys());
            int to = offset(page, head);
            for (int i = 0; i < headDim; i++) {
                pairs[to + i] =
                        score == Score.BOUNDS ? bounds(fill.keys(), i, pageSize) : moments(fill.keys(), i, pageSize);
            }
        }
    }

    @Override
    void allocate(int block) {
        if (blocks[block] == null) {
            blocks[block] = new int[kvHeads * blockPages() * headDim];
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
