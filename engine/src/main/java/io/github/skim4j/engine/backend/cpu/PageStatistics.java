package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.attention.Quest;
import io.github.skim4j.engine.attention.Quest.Score;
import io.github.skim4j.engine.attention.Quest.Statistics;
import io.github.skim4j.engine.model.HalfFloats;
import io.github.skim4j.engine.model.ModelConfig;

/**
 * Statistics of keys in each dimension for {@link Quest}: the greatest and least value, rounded so that they stay bounds; or mean and
 * variance. A page has those of each {@link Quest#STATISTICS_TOKENS} of its tokens. {@link #PANEL} of them lie side by side, so that vectors
 * have a lane for each and nothing is summed across lanes.
 * In bfloat16 an int holds both of a dimension, the first in its lower half: [headDim][PANEL]. In FP8 it holds those of two dimensions, in
 * the same order, and scales for the first and for the second follow: [headDim / 2 + 2][PANEL].
 */
final class PageStatistics extends PageData {

    /** Statistics that lie side by side. */
    static final int PANEL = 32;

    /** What is kept, and in which numbers. */
    record Kind(Score score, Statistics numbers) {}

    private final Kind kind;
    private final int kvHeads;
    private final int headDim;
    private final int perPage;
    private final int[][] blocks;

    PageStatistics(ModelConfig config, int pages, int pageSize, Kind kind) {
        super(pages, config.layers());
        this.kind = kind;
        this.kvHeads = config.kvHeads();
        this.headDim = config.headDim();
        this.perPage = Math.max(1, pageSize / Quest.STATISTICS_TOKENS);
        blocks = new int[blocks()][];
    }

    Kind kind() {
        return kind;
    }

    /** The array that has the statistics of a page and layer. */
    int[] of(int page, int layer) {
        return blocks[block(page, layer)];
    }

    /** Where in it the panel of a page begins that has a KV head's statistics. */
    int panel(int page, int kvHead) {
        int panels = (blockPages() * perPage + PANEL - 1) / PANEL;
        return (kvHead * panels + page % blockPages() / panelPages()) * rows() * PANEL;
    }

    /** Pages that share a panel. */
    int panelPages() {
        return PANEL / perPage;
    }

    /** Statistics that a page has, {@link #panelPages} apart in its panel: those of pages in a row lie in a row. */
    int perPage() {
        return perPage;
    }

    /** Place of a page's first in its panel; the statistics of a dimension lie {@link #PANEL} from those of the one before. */
    int lane(int page) {
        return page % panelPages();
    }

    boolean isFloat8() {
        return kind.numbers() == Statistics.FP8;
    }

    /** Ints of a statistic. */
    private int rows() {
        return isFloat8() ? headDim / 2 + 2 : headDim;
    }

    @Override
    int bytes() {
        return perPage * rows() * Integer.BYTES;
    }

    @Override
    void make(Fill fill, int page) {
        int[] stored = of(page, fill.layer());
        int tokens = fill.pages().pageSize() / perPage;
        for (int head = 0; head < kvHeads; head++) {
            fill.pages().keys(page, fill.layer(), head, fill.keys());
            for (int b = 0; b < perPage; b++) {
                make(fill.keys(), b * tokens, tokens, stored, panel(page, head) + lane(page) + b * panelPages());
            }
        }
    }

    /** Those of {@code tokens} keys from {@code from} on. */
    private void make(float[] keys, int from, int tokens, int[] stored, int to) {
        float[] first = new float[headDim];
        float[] second = new float[headDim];
        for (int i = 0; i < headDim; i++) {
            if (kind.score() == Score.BOUNDS) {
                bounds(keys, from, tokens, i, first, second);
            } else {
                moments(keys, from, tokens, i, first, second);
            }
        }
        if (isFloat8()) {
            storeFloat8(first, second, stored, to);
            return;
        }
        for (int i = 0; i < headDim; i++) {
            stored[to + i * PANEL] =
                    kind.score() == Score.BOUNDS ? outward(first[i], second[i]) : nearest(first[i], second[i]);
        }
    }

    @Override
    void allocate(int block) {
        if (blocks[block] == null) {
            blocks[block] = new int[panel(0, kvHeads)];
        }
    }

    private void bounds(float[] keys, int from, int tokens, int dimension, float[] greatest, float[] least) {
        float max = Float.NEGATIVE_INFINITY;
        float min = Float.POSITIVE_INFINITY;
        for (int t = from; t < from + tokens; t++) {
            float key = keys[t * headDim + dimension];
            max = Math.max(max, key);
            min = Math.min(min, key);
        }
        greatest[dimension] = max;
        least[dimension] = min;
    }

    private void moments(float[] keys, int from, int tokens, int dimension, float[] means, float[] variances) {
        double sum = 0;
        double squares = 0;
        for (int t = from; t < from + tokens; t++) {
            float key = keys[t * headDim + dimension];
            sum += key;
            squares += (double) key * key;
        }
        double mean = sum / tokens;
        means[dimension] = (float) mean;
        variances[dimension] = (float) Math.max(0, squares / tokens - mean * mean);
    }

    /** Bounds have one scale, means and variances one each. */
    private void storeFloat8(float[] first, float[] second, int[] stored, int to) {
        boolean bounds = kind.score() == Score.BOUNDS;
        float firstScale = Float8.scale(greatestMagnitude(first));
        float secondScale = Float8.scale(greatestMagnitude(second));
        if (bounds) {
            firstScale = Math.max(firstScale, secondScale);
            secondScale = firstScale;
        }
        for (int i = 0; i < headDim; i += 2) {
            int word = 0;
            for (int d = i + 1; d >= i; d--) {
                float x = first[d] * (1 / firstScale);
                float y = second[d] * (1 / secondScale);
                word = word << 8 | (bounds ? Float8.floor(y) : Float8.round(y));
                word = word << 8 | (bounds ? Float8.ceil(x) : Float8.round(x));
            }
            stored[to + i / 2 * PANEL] = word;
        }
        int scales = to + headDim / 2 * PANEL;
        stored[scales] = Float.floatToRawIntBits(firstScale);
        stored[scales + PANEL] = Float.floatToRawIntBits(secondScale);
    }

    private static float greatestMagnitude(float[] values) {
        float greatest = 0;
        for (float value : values) {
            greatest = Math.max(greatest, Math.abs(value));
        }
        return greatest;
    }

    private static int outward(float greatest, float least) {
        // The sign bit turned around makes the greatest below into the least above.
        return HalfFloats.floorToBfloat16(-greatest) & 0xffff ^ 0x8000 | HalfFloats.floorToBfloat16(least) << 16;
    }

    private static int nearest(float mean, float variance) {
        return HalfFloats.floatToBfloat16(mean) & 0xffff | HalfFloats.floatToBfloat16(variance) << 16;
    }
}
