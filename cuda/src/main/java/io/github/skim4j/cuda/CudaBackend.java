package io.github.skim4j.cuda;

import io.github.skim4j.engine.AttentionStats;
import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.attention.Dense;
import io.github.skim4j.engine.attention.EvictionMethod;
import io.github.skim4j.engine.backend.Backend;
import io.github.skim4j.engine.backend.BackendConfig;
import io.github.skim4j.engine.backend.BackendException;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.backend.Span.Logits;
import io.github.skim4j.engine.kv.KvCacheConfig;
import io.github.skim4j.engine.kv.KvCacheConfig.KvType;
import io.github.skim4j.engine.kv.KvSequence;
import io.github.skim4j.engine.model.ModelConfig;
import io.github.skim4j.engine.model.ModelWeights;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.IntFunction;
import java.util.function.IntUnaryOperator;
import jcuda.driver.JCudaDriver;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A model on one GPU. A step of single tokens is one launch of a captured graph; any other queues its kernels one by one. */
final class CudaBackend implements Backend {

    private static final Logger LOG = LoggerFactory.getLogger(CudaBackend.class);

    private static final int LEAST_PAGE_SIZE = 16;

    private final ModelConfig config;
    private final CudaDevice device;
    private final KvStorage cache;
    private final StepInputs inputs;
    private final CudaTransformer transformer;
    private final PinnedBuffer results;
    /** By batch size. */
    private final Map<Integer, DecodeGraph> graphs = new TreeMap<>();

    private boolean closed;

    private CudaBackend(
            ModelConfig config,
            CudaDevice device,
            KvStorage cache,
            StepInputs inputs,
            CudaTransformer transformer,
            PinnedBuffer results) {
        this.config = config;
        this.device = device;
        this.cache = cache;
        this.inputs = inputs;
        this.transformer = transformer;
        this.results = results;
    }

    static CudaBackend open(ModelWeights weights, BackendConfig backend) {
        ModelConfig config = weights.config();
        KvCacheConfig kvCache = backend.kvCache();
        requireSupported(weights, kvCache);
        requireDense(backend.attention());
        CudaDevice device = new CudaDevice(backend.ordinal());
        StepInputs inputs = null;
        try {
            CudaModel model = ModelUpload.upload(device, weights, backend.weights());
            int pagesPerSequence = (backend.contextLength() + kvCache.pageSize() - 1) / kvCache.pageSize();
            int batch = bucket(backend.maxBatchSize());
            inputs = new StepInputs(device, config, Math.max(backend.maxTokens(), batch), batch, pagesPerSequence);
            Products products = new Products(device, CudaTransformer.largestUnpacked(model));
            CudaTransformer transformer = new CudaTransformer(device, model, kvCache.type(), inputs, products);
            // The last, since it takes what is left.
            KvStorage cache =
                    KvStorage.allocate(device, config, kvCache, (long) backend.maxBatchSize() * pagesPerSequence);
            if (cache.pages() < pagesPerSequence) {
                LOG.warn(
                        "The KV cache holds {} tokens, less than the context length of {}: raise kv-cache.memory, choose"
                                + " kv-cache.type fp8, or lower context-length",
                        (long) cache.pages() * kvCache.pageSize(),
                        backend.contextLength());
            }
            PinnedBuffer results = new PinnedBuffer(resultBytes(config));
            return new CudaBackend(config, device, cache, inputs, transformer, results);
        } catch (RuntimeException | Error e) {
            if (inputs != null) {
                inputs.close();
            }
            device.close();
            throw e;
        }
    }

    private static void requireSupported(ModelWeights weights, KvCacheConfig kvCache) {
        ModelConfig config = weights.config();
        if (!CudaAttention.HEAD_SIZES.contains(config.headDim())) {
            throw new BackendException(weights.name() + ": the CUDA backend has kernels for heads of "
                    + CudaAttention.HEAD_SIZES + ", but the model's have " + config.headDim() + ": set device to cpu");
        }
        if (kvCache.type() == KvType.F32) {
            throw new BackendException(
                    "the CUDA backend has no kv-cache.type f32: choose bf16, f16, fp8 or int8, or set device to cpu");
        }
        if (kvCache.pageSize() < LEAST_PAGE_SIZE) {
            throw new BackendException("the CUDA backend needs a kv-cache.page-size of " + LEAST_PAGE_SIZE
                    + " or more, but it is " + kvCache.pageSize());
        }
    }

    /** Batch sizes that graphs are made for, so that few serve all. */
    private static int bucket(int rows) {
        return Integer.highestOneBit(2 * rows - 1);
    }

    /** Tokens, then logits. */
    private static long resultBytes(ModelConfig config) {
        return CudaTransformer.LOGIT_ROWS * (Integer.BYTES + (long) config.vocabSize() * Float.BYTES);
    }

    @Override
    public String device() {
        return "CUDA, " + device.name();
    }

    @Override
    public int pages() {
        return cache.pages();
    }

    @Override
    public void requireSupports(AttentionMethod method) {
        requireDense(method);
    }

    private static void requireDense(AttentionMethod method) {
        if (!(method instanceof Dense)) {
            throw new IllegalArgumentException("the CUDA backend has dense attention only, not " + method.spec()
                    + ": set attention to dense, or device to cpu");
        }
    }

    @Override
    public List<SpanResult> forward(List<Span> spans) {
        requireOpen();
        device.current();
        Step step = Step.of(spans);
        List<SpanResult> inOrder =
                step.chunks() == 0 && bucket(step.rows()) <= CudaTransformer.LOGIT_ROWS ? decode(step) : process(step);
        SpanResult[] ordered = new SpanResult[spans.size()];
        for (int s = 0; s < ordered.length; s++) {
            ordered[step.origins().get(s)] = inOrder.get(s);
        }
        return Arrays.asList(ordered);
    }

    private void requireOpen() {
        if (closed) {
            throw new BackendException("The CUDA backend is closed");
        }
    }

    /** A step of single tokens by a graph, which gives the logits of all. */
    private List<SpanResult> decode(Step step) {
        int rows = bucket(step.rows());
        inputs.write(step, rows, cache.sparePage(), rowsFrom0(rows));
        graphs.computeIfAbsent(rows, this::capture).launch(device.stream());
        if (step.spans().stream().anyMatch(span -> span.logits() == Logits.LAST || span.logits() == Logits.ALL)) {
            copyLogits(step.rows());
        }
        device.synchronize();
        List<SpanResult> found = new ArrayList<>();
        for (int s = 0; s < step.spans().size(); s++) {
            int row = s;
            found.add(result(step.spans().get(s), i -> best(row), i -> logits(row)));
        }
        return found;
    }

    private static List<Integer> rowsFrom0(int rows) {
        List<Integer> all = new ArrayList<>();
        for (int i = 0; i < rows; i++) {
            all.add(i);
        }
        return all;
    }

    private DecodeGraph capture(int rows) {
        // What is made on first use, such as loaded kernels, can't be made during a capture.
        queueDecode(rows);
        device.synchronize();
        return new DecodeGraph(device.stream(), () -> queueDecode(rows));
    }

    private void queueDecode(int rows) {
        inputs.copy(rows, device.stream());
        transformer.runLayers(cache, rows, rows, 0, 0);
        transformer.runLogits(0, rows);
        copyBest(rows);
    }

    /** Any step. */
    private List<SpanResult> process(Step step) {
        List<Integer> wanted = step.logitRows();
        inputs.write(step, step.rows(), cache.sparePage(), wanted);
        inputs.copy(step.spans().size(), device.stream());
        transformer.runLayers(cache, step.rows(), step.singles(), step.chunks(), step.longestChunk());
        float[][] logits = new float[wanted.size()][];
        int[] best = new int[wanted.size()];
        for (int from = 0; from < wanted.size(); from += CudaTransformer.LOGIT_ROWS) {
            int count = Math.min(CudaTransformer.LOGIT_ROWS, wanted.size() - from);
            transformer.runLogits(from, count);
            copyBest(count);
            copyLogits(count);
            device.synchronize();
            for (int i = 0; i < count; i++) {
                best[from + i] = best(i);
                logits[from + i] = logits(i);
            }
        }
        if (wanted.isEmpty()) {
            device.synchronize();
        }
        List<SpanResult> found = new ArrayList<>();
        int next = 0;
        for (Span span : step.spans()) {
            int first = next;
            found.add(result(span, i -> best[first + i], i -> logits[first + i]));
            next += Step.logitRows(span);
        }
        return found;
    }

    private static SpanResult result(Span span, IntUnaryOperator best, IntFunction<float[]> logits) {
        return switch (span.logits()) {
            case NONE -> new SpanResult(new float[0][], -1, AttentionStats.NONE);
            case BEST -> new SpanResult(new float[0][], best.applyAsInt(0), AttentionStats.NONE);
            case LAST, ALL -> {
                float[][] rows = new float[Step.logitRows(span)][];
                Arrays.setAll(rows, logits::apply);
                yield new SpanResult(rows, -1, AttentionStats.NONE);
            }
        };
    }

    private void copyBest(int rows) {
        Driver.check(
                JCudaDriver.cuMemcpyDtoHAsync(
                        results.pointer(), transformer.best().pointer(), (long) rows * Integer.BYTES, device.stream()),
                "cuMemcpyDtoHAsync");
    }

    private void copyLogits(int rows) {
        Driver.check(
                JCudaDriver.cuMemcpyDtoHAsync(
                        results.pointer((long) CudaTransformer.LOGIT_ROWS * Integer.BYTES),
                        transformer.logits().pointer(),
                        (long) rows * config.vocabSize() * Float.BYTES,
                        device.stream()),
                "cuMemcpyDtoHAsync");
    }

    private int best(int row) {
        return results.bytes().getInt(row * Integer.BYTES);
    }

    private float[] logits(int row) {
        float[] logits = new float[config.vocabSize()];
        results.bytes()
                .slice(
                        CudaTransformer.LOGIT_ROWS * Integer.BYTES + row * config.vocabSize() * Float.BYTES,
                        config.vocabSize() * Float.BYTES)
                .order(results.bytes().order())
                .asFloatBuffer()
                .get(logits);
        return logits;
    }

    @Override
    public void evict(KvSequence sequence, EvictionMethod method, int keep) {
        throw new IllegalStateException("a sequence with dense attention has nothing to evict");
    }

    @Override
    public void close() {
        if (closed) {
            return;
        }
        closed = true;
        device.current();
        graphs.values().forEach(DecodeGraph::close);
        inputs.close();
        results.close();
        device.close();
    }
}
