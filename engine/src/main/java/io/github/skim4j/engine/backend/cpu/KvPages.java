package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.kv.KvCacheConfig.KvType;
import io.github.skim4j.engine.model.HalfFloats;
import io.github.skim4j.engine.model.ModelConfig;
import java.util.Arrays;

/**
 * Storage of the KV pages: for each page and layer one array with, for each KV head, keys [headDim][pageSize] (transposed, so that
 * the scores of a page's tokens are lanes of a vector) and values [pageSize][headDim]. As bfloat16
 * an int holds two numbers of one token, so that unpacking takes one instruction a number: dimensions 2i and 2i + 1 of a key at
 * [i][token]; dimensions 32j + l and 32j + 16 + l of a value at [token][16j + l], l < 16, and of a last group of 16 in the same way l and 8 + l. The former is in the lower half. A page's
 * arrays are made when it is first written and kept until close.
 */
final class KvPages {

    private final int layers;
    private final int kvHeads;
    private final int headDim;
    private final int pageSize;
    /** [page * layers + layer]; one of the two is used, the other {@code null}. */
    private final int[][] pairs;

    private final float[][] floats;

    KvPages(ModelConfig config, int pageSize, KvType type, int pages) {
        this.layers = config.layers();
        this.kvHeads = config.kvHeads();
        this.headDim = config.headDim();
        this.pageSize = pageSize;
        int arrays = Math.multiplyExact(pages, layers);
        pairs = type == KvType.BF16 ? new int[arrays][] : null;
        floats = type == KvType.F32 ? new float[arrays][] : null;
    }

    /** Bytes of a page, all layers together. */
    static long bytes(ModelConfig config, int pageSize, KvType type) {
        return 2L * config.layers() * config.kvHeads() * config.headDim() * pageSize * type.bytes();
    }

    int pageSize() {
        return pageSize;
    }

    /** Pages that there are. */
    int count() {
        return (pairs == null ? floats.length : pairs.length) / layers;
    }

    /** Readies a page that comes to a sequence, before any thread writes to it: nothing of another sequence's is left. */
    void clear(int page) {
        int size = 2 * kvHeads * headDim * pageSize;
        for (int i = page * layers; i < (page + 1) * layers; i++) {
            if (pairs != null) {
                if (pairs[i] == null) {
                    pairs[i] = new int[size / 2];
                } else {
                    Arrays.fill(pairs[i], 0);
                }
            } else if (floats[i] == null) {
                floats[i] = new float[size];
            } else {
                Arrays.fill(floats[i], 0);
            }
        }
    }

    /** Stores the key and value of token {@code slot} of a page, {@code headDim} values at {@code keyFrom} and {@code valueFrom}. */
    void write(int page, int layer, int kvHead, int slot, float[] key, int keyFrom, float[] value, int valueFrom) {
        int array = page * layers + layer;
        int keys = keys(kvHead);
        int values = values(kvHead);
        if (pairs == null) {
            float[] target = floats[array];
            for (int i = 0; i < headDim; i++) {
                target[keys + i * pageSize + slot] = key[keyFrom + i];
                target[values + slot * headDim + i] = value[valueFrom + i];
            }
            return;
        }
        int[] target = pairs[array];
        for (int i = 0; i < headDim; i += 2) {
            target[keys + i / 2 * pageSize + slot] = half(key[keyFrom + i]) | half(key[keyFrom + i + 1]) << 16;
        }
        int row = values + slot * headDim / 2;
        for (int i = 0; i < headDim / 2; i++) {
            int group = valueGroup(i, headDim);
            int from = valueFrom + 2 * i - i % group;
            target[row + i] = half(value[from]) | half(value[from + group]) << 16;
        }
    }

    /** Copies the key and value of a token to another slot. */
    void copy(int page, int slot, int toPage, int toSlot, int layer, int kvHead) {
        int from = page * layers + layer;
        int to = toPage * layers + layer;
        int key = keys(kvHead);
        int values = values(kvHead);
        if (pairs == null) {
            for (int i = key; i < values; i += pageSize) {
                floats[to][i + toSlot] = floats[from][i + slot];
            }
            System.arraycopy(floats[from], values + slot * headDim, floats[to], values + toSlot * headDim, headDim);
            return;
        }
        int width = headDim / 2;
        for (int i = key; i < values; i += pageSize) {
            pairs[to][i + toSlot] = pairs[from][i + slot];
        }
        System.arraycopy(pairs[from], values + slot * width, pairs[to], values + toSlot * width, width);
    }

    /** Copies a page's keys as they are stored, [pageSize][headDim]. */
    void keys(int page, int layer, int kvHead, float[] target) {
        for (int t = 0; t < pageSize; t++) {
            key(page, layer, kvHead, t, target, t * headDim);
        }
    }

    /** Copies the key of token {@code slot} of a page. */
    void key(int page, int layer, int kvHead, int slot, float[] target, int to) {
        int array = page * layers + layer;
        int from = keys(kvHead) + slot;
        if (pairs == null) {
            for (int i = 0; i < headDim; i++) {
                target[to + i] = floats[array][from + i * pageSize];
            }
            return;
        }
        int[] source = pairs[array];
        for (int i = 0; i < headDim; i += 2) {
            int pair = source[from + i / 2 * pageSize];
            target[to + i] = Float.intBitsToFloat(pair << 16);
            target[to + i + 1] = Float.intBitsToFloat(pair & 0xffff0000);
        }
    }

    /** Copies the value of token {@code slot} of a page. */
    void value(int page, int layer, int kvHead, int slot, float[] target, int to) {
        int array = page * layers + layer;
        if (pairs == null) {
            System.arraycopy(floats[array], values(kvHead) + slot * headDim, target, to, headDim);
            return;
        }
        int row = values(kvHead) + slot * headDim / 2;
        for (int i = 0; i < headDim / 2; i++) {
            int pair = pairs[array][row + i];
            int group = valueGroup(i, headDim);
            int at = to + 2 * i - i % group;
            target[at] = Float.intBitsToFloat(pair << 16);
            target[at + group] = Float.intBitsToFloat(pair & 0xffff0000);
        }
    }

    /** Bytes of a token's key and value of one layer and KV head. */
    int tokenBytes() {
        return 2 * headDim * (pairs == null ? 4 : 2);
    }

    /** Pairs in the group of a value's {@code i}-th pair, whose halves are that many dimensions apart. */
    static int valueGroup(int i, int headDim) {
        return i < headDim / 32 * 16 ? 16 : 8;
    }

    private static int half(float value) {
        return HalfFloats.floatToBfloat16(value) & 0xffff;
    }

    /** Keys and values of a page. */
    void prefetch(Prefetcher prefetcher, int page, int layer, int kvHead) {
        int array = page * layers + layer;
        if (pairs == null) {
            prefetcher.read(floats[array], keys(kvHead), keys(kvHead + 1));
        } else {
            prefetcher.read(pairs[array], keys(kvHead), keys(kvHead + 1));
        }
    }

    /**
     * {@code scores[r][t] = Σ_i queries[r][i] * key[t][i]} for the tokens of a page.
     *
     * @param rows with room for one more where they are odd, see {@link Attend#even}
     * @param queries [rows][headDim]
     * @param scores rows {@code stride} apart, from {@code to} on
     */
    void score(
            AttentionKernels kernels,
            int page,
            int layer,
            int kvHead,
            float[] queries,
            int rows,
            float[] scores,
            int to,
            int stride) {
        int array = page * layers + layer;
        if (pairs == null) {
            kernels.score(queries, headDim, rows, floats[array], keys(kvHead), pageSize, scores, to, stride);
        } else {
            kernels.score(queries, headDim, rows, pairs[array], keys(kvHead), pageSize, scores, to, stride);
        }
    }

    /**
     * {@code result[r][i] += Σ_t weights[r][t] * value[t][i]} for the tokens of a page.
     *
     * @param rows likewise
     * @param weights rows {@code stride} apart, from {@code from} on
     * @param result [rows][headDim]
     */
    void addWeighted(
            AttentionKernels kernels,
            int page,
            int layer,
            int kvHead,
            float[] weights,
            int from,
            int stride,
            int rows,
            float[] result) {
        int array = page * layers + layer;
        if (pairs == null) {
            kernels.addWeighted(weights, from, stride, rows, floats[array], values(kvHead), pageSize, result, headDim);
        } else {
            kernels.addWeighted(weights, from, stride, rows, pairs[array], values(kvHead), pageSize, result, headDim);
        }
    }

    private int keys(int kvHead) {
        int size = 2 * kvHead * headDim * pageSize;
        return pairs == null ? size : size / 2;
    }

    private int values(int kvHead) {
        return keys(kvHead) + (pairs == null ? headDim * pageSize : headDim * pageSize / 2);
    }
}
