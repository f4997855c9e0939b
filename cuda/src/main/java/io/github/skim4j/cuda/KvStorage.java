package io.github.skim4j.cuda;

import io.github.skim4j.engine.backend.DeviceMemoryException;
import io.github.skim4j.engine.kv.KvCacheConfig;
import io.github.skim4j.engine.kv.KvCacheConfig.KvType;
import io.github.skim4j.engine.model.ModelConfig;
import java.util.Locale;

/**
 * The KV pages of all layers, in one piece of device memory: [layer][page][kvHead] blocks whose layout {@code cache.cuh} describes. One
 * page more than sequences can have takes what the padding rows of a step write.
 */
final class KvStorage {

    /** What is left for the driver, whose modules and graphs take memory too, and for a display. */
    private static final long RESERVE = 512L << 20;

    private final KvType type;
    private final int pageSize;
    private final int pages;
    private final long layerBytes;
    private final int tokenBytes;
    private final DeviceBuffer buffer;

    private KvStorage(KvType type, int pageSize, int pages, long layerBytes, int tokenBytes, DeviceBuffer buffer) {
        this.type = type;
        this.pageSize = pageSize;
        this.pages = pages;
        this.layerBytes = layerBytes;
        this.tokenBytes = tokenBytes;
        this.buffer = buffer;
    }

    /**
     * Takes what {@code kv-cache.memory} says, or as much as {@code mostPages} need and is free.
     *
     * @param besideBytes of what will be kept of a page beside keys and values, which counts as the cache's memory
     * @throws DeviceMemoryException if there is no room for a page
     */
    static KvStorage allocate(
            CudaDevice device, ModelConfig config, KvCacheConfig kvCache, long mostPages, long besideBytes) {
        int blockBytes = blockBytes(config, kvCache);
        long pageBytes = (long) blockBytes * config.kvHeads() * config.layers() + besideBytes;
        long free = Math.max(0, device.freeMemory() - RESERVE);
        long pages = kvCache.memory() > 0 ? kvCache.memory() / pageBytes : Math.min(mostPages, free / pageBytes - 1);
        if (pages < 1) {
            throw new DeviceMemoryException("The GPU has no room for the KV cache: a page of " + kvCache.pageSize()
                    + " tokens takes " + pageBytes + " bytes, and " + Driver.mebibytes(free)
                    + " are left beside the weights. Raise kv-cache.memory, choose weights: q4_0 or a smaller model");
        }
        int count = Math.toIntExact(Math.min(pages, Integer.MAX_VALUE / config.kvHeads() - 1L));
        long layerBytes = (long) blockBytes * config.kvHeads() * (count + 1L);
        DeviceBuffer buffer = device.allocateCleared(
                layerBytes * config.layers(), "the KV cache", "Lower kv-cache.memory or choose kv-cache.type: fp8");
        return new KvStorage(
                kvCache.type(), kvCache.pageSize(), count, layerBytes, blockBytes / kvCache.pageSize(), buffer);
    }

    private static int blockBytes(ModelConfig config, KvCacheConfig kvCache) {
        int scales = kvCache.type() == KvType.INT8 ? 2 * Float.BYTES : 0;
        return kvCache.pageSize() * (2 * config.headDim() * kvCache.type().bytes() + scales);
    }

    int pageSize() {
        return pageSize;
    }

    /** Bytes of a token's key and value of one layer and KV head. */
    int tokenBytes() {
        return tokenBytes;
    }

    /** Pages for sequences. */
    int pages() {
        return pages;
    }

    /** The page of padding rows. */
    int sparePage() {
        return pages;
    }

    /** What the names of kernels call the storage type. */
    String kernelName() {
        return kernelName(type);
    }

    static String kernelName(KvType type) {
        return type.name().toLowerCase(Locale.ROOT);
    }

    /** What the names of kernels for a storage type and a head size end with. */
    static String variant(KvType type, int headDim) {
        return "_" + kernelName(type) + "_" + headDim;
    }

    String variant(ModelConfig config) {
        return variant(type, config.headDim());
    }

    /** Bytes from a layer to the next. */
    long layerBytes() {
        return layerBytes;
    }

    /** Address of a layer's blocks. */
    long layer(int index) {
        return buffer.address() + index * layerBytes;
    }
}
