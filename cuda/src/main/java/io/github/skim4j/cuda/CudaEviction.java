package io.github.skim4j.cuda;

import io.github.skim4j.engine.attention.EvictionMethod;
import io.github.skim4j.engine.attention.H2o;
import io.github.skim4j.engine.attention.SnapKv;
import io.github.skim4j.engine.attention.Tova;
import io.github.skim4j.engine.kv.KvSequence;
import io.github.skim4j.engine.model.ModelConfig;
import java.nio.ByteBuffer;
import jcuda.driver.JCudaDriver;

/**
 * Records which share of the attention each cached token gets, and packs what each layer and KV head keeps of a sequence into its first
 * slots. Evictions wait for the next step, so that those of several sequences are one launch.
 */
final class CudaEviction implements AutoCloseable {

    private static final String WHAT = "eviction";
    private static final String REMEDY = "Lower context-length or scheduler.max-batch-size";

    private static final int OBSERVE_KEYS = 128;
    private static final int OBSERVE_THREADS = 128;
    private static final int OBSERVE_BLOCKS_PER_PROCESSOR = 4;
    private static final int EVICT_THREADS = 512;
    /** Of a {@code skim::evict::Eviction}. */
    private static final int EVICTION_BYTES = 8 * Integer.BYTES;

    private final CudaDevice device;
    private final ModelConfig config;
    private final KvStorage cache;
    private final StepInputs inputs;
    private final TokenRecords records;
    /** Evictions, then the page table of each; {@code null} until there is one. */
    private PinnedBuffer pinned;

    private DeviceBuffer evictions;
    private int waiting;

    CudaEviction(CudaDevice device, ModelConfig config, KvStorage cache, StepInputs inputs, TokenRecords records) {
        this.device = device;
        this.config = config;
        this.cache = cache;
        this.inputs = inputs;
        this.records = records;
    }

    /**
     * Queues the observation of a layer, after its attention.
     *
     * @param queries address of the rotated queries, [row][heads * headDim]
     * @param logSums address of what attention left, [row][heads]
     * @param sequences of the step and padding
     */
    void observe(int layer, long queries, long logSums, int sequences) {
        Arguments arguments = new Arguments()
                .beginStruct()
                .address(queries)
                .integer(config.heads() * config.headDim())
                .address(cache.layer(layer))
                .integer(cache.pageSize())
                .integer(config.kvHeads())
                .integer(config.group())
                .address(inputs.observed())
                .address(inputs.pageTables())
                .integer(inputs.tableStride())
                .integer(config.window(layer))
                .address(logSums)
                .real((float) (1 / Math.sqrt(config.headDim())));
        records.add(arguments, layer).endStruct();
        int tiles = (inputs.tableStride() * cache.pageSize() + OBSERVE_KEYS - 1) / OBSERVE_KEYS;
        int blocks = Math.max(1, OBSERVE_BLOCKS_PER_PROCESSOR * device.multiprocessors() / config.kvHeads());
        device.kernel("observe" + cache.variant(config))
                .launch(
                        device.stream(),
                        Math.min(tiles, blocks),
                        config.kvHeads(),
                        sequences,
                        OBSERVE_THREADS,
                        0,
                        arguments);
    }

    /** See {@link io.github.skim4j.engine.backend.Backend#evict}. */
    void add(KvSequence sequence, EvictionMethod method, int keep) {
        if (pinned == null) {
            long bytes = inputs.maxSequences() * (EVICTION_BYTES + (long) inputs.tableStride() * Integer.BYTES);
            evictions = device.allocate(bytes, WHAT, REMEDY);
            pinned = new PinnedBuffer(bytes);
        }
        if (waiting == inputs.maxSequences()) {
            flush();
            device.synchronize();
        }
        ByteBuffer bytes = pinned.bytes();
        int at = waiting * EVICTION_BYTES;
        SnapKv voting = method instanceof SnapKv snapKv ? snapKv : null;
        int recent = method instanceof H2o h2o ? (int) (h2o.recent() * keep) : voting != null ? voting.window() : 0;
        bytes.putInt(at, sequence.slots())
                .putInt(at + 4, sequence.length())
                .putInt(at + 8, keep)
                .putInt(at + 12, recent)
                .putInt(at + 16, voting != null ? voting.kernel() : 0)
                .putInt(at + 20, recent)
                .putInt(at + 24, method instanceof Tova ? 1 : 0)
                .putInt(at + 28, 0);
        int table = tables() + waiting * inputs.tableStride() * Integer.BYTES;
        sequence.copyPages(bytes.slice(table, inputs.tableStride() * Integer.BYTES)
                .order(bytes.order())
                .asIntBuffer());
        waiting++;
    }

    private int tables() {
        return inputs.maxSequences() * EVICTION_BYTES;
    }

    /** Queues what waits. */
    void flush() {
        if (waiting == 0) {
            return;
        }
        long bytes = tables() + (long) waiting * inputs.tableStride() * Integer.BYTES;
        Driver.check(
                JCudaDriver.cuMemcpyHtoDAsync(evictions.pointer(), pinned.pointer(), bytes, device.stream()),
                "cuMemcpyHtoDAsync");
        Arguments arguments = new Arguments()
                .beginStruct()
                .address(evictions)
                .address(evictions.address() + tables())
                .integer(inputs.tableStride())
                .integer(cache.pageSize())
                .integer(config.kvHeads())
                .integer(config.headDim())
                .integer(config.slidingWindow() > 0 ? config.slidingWindow() : Integer.MAX_VALUE)
                .integer(config.slidingWindowFrom())
                .address(cache.layer(0))
                .address(cache.layerBytes());
        records.add(arguments, 0).endStruct();
        device.kernel("evict_" + cache.kernelName())
                .launch(device.stream(), config.layers() * config.kvHeads(), waiting, 1, EVICT_THREADS, 0, arguments);
        waiting = 0;
    }

    @Override
    public void close() {
        if (pinned != null) {
            pinned.close();
        }
    }
}
