package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.kv.KvCacheConfig.KvType;
import io.github.skim4j.engine.model.HalfFloats;
import io.github.skim4j.engine.model.ModelConfig;

/**
 * Storage of the KV pages: for each page and layer one array with, for each KV head, keys [headDim][pageSize] (transposed, so that
 * the scores of a page's tokens are lanes of a vector) and values [pageSize][headDim]. A page's arrays are made when it is first
 * written and kept until close.
 */
final class KvPages {

    private final int layers;
    private final int kvHeads;
    private final int headDim;
    private final int pageSize;
    private final KvType type;
    /** [page * layers + layer]; one of the two is used. */
    private final short[][] shorts;

    private final float[][] floats;

    KvPages(ModelConfig config, int pageSize, KvType type, int pages) {
        this.layers = config.layers();
        this.kvHeads = config.kvHeads();
        this.headDim = config.headDim();
        this.pageSize = pageSize;
        this.type = type;
        int arrays = Math.multiplyExact(pages, layers);
        shorts = new short[type == KvType.BF16 ? arrays : 0][];
        floats = new float[type == KvType.F32 ? arrays : 0][];
    }

    /** Bytes of a page, all layers together. */
    static long bytes(ModelConfig config, int pageSize, KvType type) {
        return 2L * config.layers() * config.kvHeads() * config.headDim() * pageSize * type.bytes();
    }

    int pageSize() {
        return pageSize;
    }

    /** Makes a page's arrays unless it has them; before any thread writes to it. */
    void allocate(int page) {
        int size = 2 * kvHeads * headDim * pageSize;
        for (int i = page * layers; i < (page + 1) * layers; i++) {
            if (type == KvType.BF16 && shorts[i] == null) {
                shorts[i] = new short[size];
            } else if (type == KvType.F32 && floats[i] == null) {
                floats[i] = new float[size];
            }
        }
    }

    /** Stores the key and value of token {@code slot} of a page, {@code headDim} values at {@code keyFrom} and {@code valueFrom}. */
    void write(int page, int layer, int kvHead, int slot, float[] key, int keyFrom, float[] value, int valueFrom) {
        int array = page * layers + layer;
        int keyTo = keys(kvHead) + slot;
        int valueTo = values(kvHead) + slot * headDim;
        if (type == KvType.BF16) {
            short[] target = shorts[array];
            for (int i = 0; i < headDim; i++) {
                target[keyTo + i * pageSize] = HalfFloats.floatToBfloat16(key[keyFrom + i]);
                target[valueTo + i] = HalfFloats.floatToBfloat16(value[valueFrom + i]);
            }
        } else {
            float[] target = floats[array];
            for (int i = 0; i < headDim; i++) {
                target[keyTo + i * pageSize] = key[keyFrom + i];
                target[valueTo + i] = value[valueFrom + i];
            }
        }
    }

    /** Copies a page's keys as floats: row i is dimension i of the {@code pageSize} tokens, at {@code to + i * stride}. */
    void readKeys(CpuKernels kernels, int page, int layer, int kvHead, float[] target, int to, int stride) {
        int array = page * layers + layer;
        int from = keys(kvHead);
        for (int i = 0; i < headDim; i++) {
            if (type == KvType.BF16) {
                kernels.fromBfloat16(shorts[array], from + i * pageSize, target, to + i * stride, pageSize);
            } else {
                System.arraycopy(floats[array], from + i * pageSize, target, to + i * stride, pageSize);
            }
        }
    }

    /** Copies the values of tokens {@code first} to {@code end} of a page as floats, {@code headDim} each, from {@code to} on. */
    void readValues(CpuKernels kernels, int page, int layer, int kvHead, int first, int end, float[] target, int to) {
        int array = page * layers + layer;
        int from = values(kvHead) + first * headDim;
        int count = (end - first) * headDim;
        if (type == KvType.BF16) {
            kernels.fromBfloat16(shorts[array], from, target, to, count);
        } else {
            System.arraycopy(floats[array], from, target, to, count);
        }
    }

    private int keys(int kvHead) {
        return 2 * kvHead * headDim * pageSize;
    }

    private int values(int kvHead) {
        return keys(kvHead) + headDim * pageSize;
    }
}
