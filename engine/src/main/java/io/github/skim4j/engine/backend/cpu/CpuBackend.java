package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.attention.EvictionMethod;
import io.github.skim4j.engine.backend.Backend;
import io.github.skim4j.engine.backend.BackendConfig;
import io.github.skim4j.engine.backend.BackendException;
import io.github.skim4j.engine.backend.DeviceMemoryException;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.kv.KvCacheConfig;
import io.github.skim4j.engine.kv.KvSequence;
import io.github.skim4j.engine.model.LabelChannels;
import io.github.skim4j.engine.model.ModelConfig;
import io.github.skim4j.engine.model.ModelWeights;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A model on the CPU: weights and KV pages on the Java heap, a team of threads. */
final class CpuBackend implements Backend {

    private static final Logger LOG = LoggerFactory.getLogger(CpuBackend.class);

    private static final int SEQUENCES = 2;

    private final ModelConfig config;
    private final LabelChannels labelChannels;
    private final String device;
    private final int pages;
    private final WorkerTeam team;
    private final CompletableFuture<Void> loaded;
    /** All are {@code null} once closed, so that the memory is free even if someone keeps the backend. */
    private CpuModel model;

    private Transformer transformer;

    private Evictor evictor;

    private CpuBackend(
            ModelWeights weights,
            LabelChannels labelChannels,
            String device,
            int pages,
            WorkerTeam team,
            CpuModel model,
            Transformer transformer,
            Evictor evictor) {
        this.config = weights.config();
        this.labelChannels = labelChannels;
        this.device = device;
        this.pages = pages;
        this.team = team;
        this.model = model;
        this.loaded = model.loaded();
        this.transformer = transformer;
        this.evictor = evictor;
    }

    static CpuBackend open(ModelWeights weights, BackendConfig config, CpuKernels kernels) {
        ModelConfig shape = weights.config();
        if (shape.headDim() % 16 != 0) {
            throw new BackendException(weights.name()
                    + ": the CPU backend needs a head size that is a multiple of 16, but it is " + shape.headDim());
        }
        KvCacheConfig.KvType type = config.kvCache().type();
        if (type != KvCacheConfig.KvType.BF16 && type != KvCacheConfig.KvType.F32) {
            throw new BackendException(
                    "the CPU backend has no kv-cache.type " + type + ": choose bf16 or f32, or a device that has it");
        }
        LabelChannels labelChannels = weights.labelChannels();
        LabelChannels.requireFor(config.attention(), shape, labelChannels);
        int threads =
                config.threads() > 0 ? config.threads() : Runtime.getRuntime().availableProcessors();
        int lanes = kernels.matrix().lanes();
        long weightBytes = requireRoom(weights, CpuModel.bytes(weights, lanes, config.weights()));
        WorkerTeam team = new WorkerTeam(threads, "skim-cpu");
        CpuModel model = new CpuModel(shape);
        try {
            int pages = pages(shape, config, kernels, labelChannels, weightBytes);
            KvCacheConfig kv = config.kvCache();
            KvPages storage = new KvPages(shape, kv.pageSize(), kv.type(), pages);
            String device = "CPU, " + threads + (threads == 1 ? " thread, " : " threads, ") + kernels.name();
            TokenRecords records = new TokenRecords(shape, kv.pageSize(), pages);
            Attention attention =
                    new Attention(shape, kernels, storage, records, team, labelChannels, config.recallProbe());
            CpuBackend backend = new CpuBackend(
                    weights,
                    labelChannels,
                    device,
                    pages,
                    team,
                    model,
                    new Transformer(model, kernels, team, storage, records, attention),
                    new Evictor(shape, storage, records, team));
            model.load(weights, threads, lanes, config.weights());
            return backend;
        } catch (OutOfMemoryError e) {
            close(model, team);
            throw CpuModel.tooSmall(weights.name(), e);
        } catch (RuntimeException | Error e) {
            close(model, team);
            throw e;
        }
    }

    private static void close(CpuModel model, WorkerTeam team) {
        model.close();
        team.close();
    }

    /** {@code bytes}, for which the heap has room: they are allocated later, when nobody could be told any more before a request. */
    private static long requireRoom(ModelWeights weights, long bytes) {
        if (bytes > freeHeap()) {
            System.gc();
            if (bytes > freeHeap()) {
                throw CpuModel.tooSmall(weights.name(), null);
            }
        }
        return bytes;
    }

    private static int pages(
            ModelConfig shape,
            BackendConfig config,
            CpuKernels kernels,
            LabelChannels labelChannels,
            long weightBytes) {
        KvCacheConfig kv = config.kvCache();
        long pageBytes = KvPages.bytes(shape, kv.pageSize(), kv.type())
                + Pipelines.bytes(
                        config.attention(),
                        shape,
                        kernels,
                        new KvPages(shape, kv.pageSize(), kv.type(), 1),
                        labelChannels)
                + TokenRecords.bytes(config.attention(), shape, kv.pageSize());
        long perSequence = (config.contextLength() + kv.pageSize() - 1L) / kv.pageSize();
        long pages;
        if (kv.memory() > 0) {
            if (kv.memory() > Runtime.getRuntime().maxMemory()) {
                throw new DeviceMemoryException("kv-cache.memory of " + megabytes(kv.memory())
                        + " exceeds the Java heap of "
                        + megabytes(Runtime.getRuntime().maxMemory()) + ": lower it or raise the heap with -Xmx");
            }
            pages = kv.memory() / pageBytes;
        } else {
            long wanted = SEQUENCES * perSequence;
            pages = Math.min(wanted, (freeHeap() - weightBytes) / 2 / pageBytes);
            if (pages < wanted) {
                // Reading the file's header left garbage behind; the limit should be that of a clean heap.
                System.gc();
                pages = Math.min(wanted, (freeHeap() - weightBytes) / 2 / pageBytes);
            }
        }
        if (pages < 1) {
            throw new DeviceMemoryException("the KV cache has no room for a page of " + megabytes(pageBytes)
                    + ": raise kv-cache.memory, or the heap with -Xmx");
        }
        if (pages < perSequence) {
            LOG.warn(
                    "The KV cache holds {} tokens, less than the context length of {}: raise kv-cache.memory or the heap with"
                            + " -Xmx, or lower context-length",
                    pages * kv.pageSize(),
                    config.contextLength());
        }
        return (int) Math.min(pages, Integer.MAX_VALUE / shape.layers());
    }

    private static long freeHeap() {
        Runtime runtime = Runtime.getRuntime();
        return runtime.maxMemory() - (runtime.totalMemory() - runtime.freeMemory());
    }

    static String megabytes(long bytes) {
        return (bytes >> 20) + " MB";
    }

    @Override
    public String device() {
        return device;
    }

    @Override
    public int pages() {
        return pages;
    }

    @Override
    public List<SpanResult> forward(List<Span> spans) {
        if (transformer == null) {
            throw new IllegalStateException("the backend is closed");
        }
        try {
            return transformer.forward(spans);
        } catch (OutOfMemoryError e) {
            throw new DeviceMemoryException(
                    "the Java heap of " + megabytes(Runtime.getRuntime().maxMemory())
                            + " is full: raise it with -Xmx, or lower kv-cache.memory or scheduler.prefill-chunk",
                    e);
        }
    }

    @Override
    public void evict(KvSequence sequence, EvictionMethod method, int keep) {
        if (evictor == null) {
            throw new IllegalStateException("the backend is closed");
        }
        evictor.run(sequence, method, keep);
    }

    @Override
    public void requireSupports(AttentionMethod method) {
        LabelChannels.requireFor(method, config, labelChannels);
    }

    @Override
    public float[][][] channelWeights(Span span) {
        if (transformer == null) {
            throw new IllegalStateException("the backend is closed");
        }
        ChannelWeights weights = new ChannelWeights(config);
        transformer.observe(span, weights);
        return weights.result();
    }

    @Override
    public CompletableFuture<Void> loaded() {
        return loaded;
    }

    @Override
    public void close() {
        if (model != null) {
            close(model, team);
        }
        model = null;
        transformer = null;
        evictor = null;
    }
}
