package io.github.skim4j.engine.kv;

import io.github.skim4j.engine.model.ModelConfig;
import java.util.Objects;

/**
 * The paged KV cache.
 *
 * @param pageSize tokens in a page: 8, 16, 32 or 64
 * @param type how keys and values are stored
 * @param memory bytes for all pages; 0 takes what two sequences of the full context length need, within half of the free heap
 * @param prefixCache whether free pages keep what they hold until they are needed, for later requests that begin with the same tokens
 */
public record KvCacheConfig(int pageSize, KvType type, long memory, boolean prefixCache) {

    public static final KvCacheConfig DEFAULT = new KvCacheConfig(32, KvType.BF16, 0, true);

    /** Storage type of keys and values; each kind of device has some of them. */
    public enum KvType {
        F32(4, 0),
        BF16(2, 0),
        F16(2, 0),
        /** 8-bit floats with a sign, 4 bits of exponent and 3 of mantissa (e4m3, OCP OFP8). */
        FP8(1, 0),
        /** 8-bit integers with a scale for each token and head. */
        INT8(1, 4);

        private final int bytes;
        private final int scaleBytes;

        KvType(int bytes, int scaleBytes) {
            this.bytes = bytes;
            this.scaleBytes = scaleBytes;
        }

        /** Bytes of a number, scales aside. */
        public int bytes() {
            return bytes;
        }
    }

    public KvCacheConfig {
        if (pageSize != 8 && pageSize != 16 && pageSize != 32 && pageSize != 64) {
            throw new IllegalArgumentException("kv-cache page-size must be 8, 16, 32 or 64, but is " + pageSize);
        }
        if (memory < 0) {
            throw new IllegalArgumentException("kv-cache memory must be 0 (automatic) or more, but is " + memory);
        }
        Objects.requireNonNull(type, "kv-cache type");
    }

    /** Bytes of one token's keys and values, over all layers. */
    public long tokenBytes(ModelConfig model) {
        return 2L * model.layers() * model.kvHeads() * (model.headDim() * type.bytes() + type.scaleBytes);
    }
}
