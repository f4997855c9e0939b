package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.model.HalfFloats;
import io.github.skim4j.engine.model.ModelConfig;

/**
 * Keys in 4 bits, asymmetric for each token and KV head (Twilight, arXiv 2502.02770, section 4.2): {@code key ≈ scale * level + min}. For each KV
 * head [channel / 8][token] eight levels in an int, the first channel in the lowest bits; behind them [token] scale (lower half) and minimum
 * (upper half) as bfloat16. The keys' dimensions are all or, for label channels, some.
 */
final class QuantizedKeys extends PageData {

    private static final int LEVELS = 15;

    private final int kvHeads;
    private final int headDim;
    private final int pageSize;
    /** [layer][kvHead][channel] is a dimension; {@code null} if channels are dimensions. */
    private final int[][][] dimensions;

    private final int channels;
    private final int[][] blocks;

    QuantizedKeys(ModelConfig config, int pageSize, int pages, int[][][] dimensions) {
        super(pages, config.layers());
        this.kvHeads = config.kvHeads();
        this.headDim = config.headDim();
        this.pageSize = pageSize;
        this.dimensions = dimensions;
        channels = dimensions == null ? headDim : dimensions[0][0].length;
        blocks = new int[blocks()][];
    }

    int channels() {
        return channels;
    }

    /** Dimension of a channel. */
    int dimension(int layer, int kvHead, int channel) {
        return dimensions == null ? channel : dimensions[layer][kvHead][channel];
    }

    /** The array that has the keys of a page and layer. */
    int[] of(int page, int layer) {
        return blocks[block(page, layer)];
    }

    /** Where in it those of a page and KV head begin. */
    int offset(int page, int kvHead) {
        return place(page, kvHead) * words();
    }

    private int words() {
        return (channels / 8 + 1) * pageSize;
    }

    @Override
    void allocate(int block) {
        if (blocks[block] == null) {
            blocks[block] = new int[kvHeads * blockPages() * words()];
        }
    }

    @Override
    int bytes() {
        return words() * Integer.BYTES;
    }

    @Override
    void make(Fill fill, int page) {
        float[] key = new float[channels];
        for (int head = 0; head < kvHeads; head++) {
            fill.pages().keys(page, fill.layer(), head, fill.keys());
            for (int t = 0; t < pageSize; t++) {
                for (int c = 0; c < channels; c++) {
                    key[c] = fill.keys()[t * headDim + dimension(fill.layer(), head, c)];
                }
                quantize(key, of(page, fill.layer()), offset(page, head) + t);
            }
        }
    }

    private void quantize(float[] key, int[] target, int to) {
        float min = Float.POSITIVE_INFINITY;
        float max = Float.NEGATIVE_INFINITY;
        for (float k : key) {
            min = Math.min(min, k);
            max = Math.max(max, k);
        }
        // Levels are relative to scale and minimum as they are stored, which are rounded so that they span all keys: no
        // key is off by
        // more than half a level.
        short storedMin = HalfFloats.floorToBfloat16(min);
        min = HalfFloats.bfloat16ToFloat(storedMin);
        short storedScale = (short) (HalfFloats.floorToBfloat16(-Math.max(max - min, 1e-9f) / LEVELS) ^ 0x8000);
        float scale = HalfFloats.bfloat16ToFloat(storedScale);
        for (int c = 0; c < channels; c += 8) {
            int word = 0;
            for (int i = 0; i < 8; i++) {
                int level = Math.max(0, Math.min(LEVELS, Math.round((key[c + i] - min) / scale)));
                word |= level << 4 * i;
            }
            target[to + c / 8 * pageSize] = word;
        }
        target[to + channels / 8 * pageSize] = storedScale & 0xffff | storedMin << 16;
    }
}
