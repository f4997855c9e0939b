package io.github.skim4j.cuda;

import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.attention.EvictionMethod;
import io.github.skim4j.engine.model.ModelConfig;

/**
 * What eviction must know of the tokens in the cache, in device memory: for each layer, page, KV head and slot the token's position and
 * the attention that it was seen to get; see {@code evict.cuh}. There once a sequence is observed.
 */
final class TokenRecords {

    private static final int RECORD_THREADS = 32;

    private final CudaDevice device;
    private final ModelConfig config;
    private final KvStorage cache;
    private final StepInputs inputs;
    private final long layerTokens;
    /** Both are {@code null} until required. */
    private DeviceBuffer positions;

    private DeviceBuffer attention;

    TokenRecords(CudaDevice device, ModelConfig config, KvStorage cache, StepInputs inputs) {
        this.device = device;
        this.config = config;
        this.cache = cache;
        this.inputs = inputs;
        layerTokens = (cache.pages() + 1L) * config.kvHeads() * cache.pageSize();
    }

    /** Bytes of a page's records for a method, all layers together. */
    static long bytes(AttentionMethod method, ModelConfig config, int pageSize) {
        boolean observes = method instanceof EvictionMethod evicting && evicting.packs();
        return observes ? 2L * Integer.BYTES * config.layers() * config.kvHeads() * pageSize : 0;
    }

    /** Takes the memory, if there is none yet. */
    void require(EvictionMethod method) {
        if (positions == null) {
            positions = allocate(method);
            attention = allocate(method);
        }
    }

    private DeviceBuffer allocate(EvictionMethod method) {
        return device.allocate(
                layerTokens * config.layers() * Integer.BYTES,
                "the attention that " + method.name() + " records",
                "Set attention.method to " + method.name()
                        + ", so that the KV cache leaves room, or lower kv-cache.memory");
    }

    /** Queues the records of a step's new tokens, which no query has seen yet, in all layers. */
    void write(int rows) {
        Arguments arguments = add(new Arguments().beginStruct(), 0)
                .address(inputs.recorded())
                .address(inputs.positions())
                .address(inputs.slots())
                .address(inputs.sequences(0))
                .address(inputs.pageTables())
                .integer(inputs.tableStride())
                .integer(cache.pageSize())
                .integer(config.kvHeads())
                .endStruct();
        device.kernel("record_tokens").launch(device.stream(), rows, config.layers(), 1, RECORD_THREADS, 0, arguments);
    }

    /** Adds the records from a layer on: {@code skim::evict::Records}. */
    Arguments add(Arguments arguments, int layer) {
        long offset = layer * layerTokens * Integer.BYTES;
        return arguments
                .address(positions.address() + offset)
                .address(attention.address() + offset)
                .address(layerTokens);
    }
}
