package io.github.skim4j.cuda;

import io.github.skim4j.cuda.SelectionPlan.Interval;
import io.github.skim4j.cuda.SelectionPlan.Stages;
import io.github.skim4j.cuda.Step.LogitRow;
import io.github.skim4j.engine.AttentionStats;
import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.attention.Dense;
import io.github.skim4j.engine.attention.EvictionMethod;
import io.github.skim4j.engine.backend.Backend;
import io.github.skim4j.engine.backend.BackendConfig;
import io.github.skim4j.engine.backend.BackendException;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.kv.KvCacheConfig;
import io.github.skim4j.engine.kv.KvCacheConfig.KvType;
import io.github.skim4j.engine.kv.KvSequence;
import io.github.skim4j.engine.model.LabelChannels;
import io.github.skim4j.engine.model.ModelConfig;
import io.github.skim4j.engine.model.ModelWeights;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntConsumer;
import java.util.function.IntFunction;
import java.util.function.IntUnaryOperator;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A model on one GPU. A step of single tokens is one launch of a captured graph; any other queues its kernels one by one. */
final class CudaBackend implements Backend {

    private static final Logger LOG = LoggerFactory.getLogger(CudaBackend.class);

    static final int LEAST_PAGE_SIZE = 16;

    /** Each takes some megabytes of the device, and mixes of methods make ever new ones. */
    private static final int MOST_GRAPHS = 64;

    private final ModelConfig config;
    private final int contextLength;
    private final CudaDevice device;
    private final KvStorage cache;
    private final StepInputs inputs;
    private final CudaTransformer transformer;
    private final StepResults results;
    private final LabelChannels labelChannels;
    private final PageDataStorage pageData;
    private final TokenRecords records;
    private final CudaEviction eviction;
    private final CudaProbe probe;
    private final ReadStatistics statistics;
    private final BreakEven breakEven;
    private final SelectionSlots selectionSlots;
    /** The ones that were used last. */
    private final Map<GraphKey, DecodeGraph> graphs = new LinkedHashMap<>(16, 0.75f, true) {
        @Override
        protected boolean removeEldestEntry(Map.Entry<GraphKey, DecodeGraph> eldest) {
            if (size() <= MOST_GRAPHS) {
                return false;
            }
            eldest.getValue().close();
            return true;
        }
    };

    /** {@code null} until a method needs it. */
    private CudaSelection selection;

    private boolean closed;

    /** Steps of one size whose layers need the same kernels are one graph. */
    private record GraphKey(
            int rows, List<Object> shape, int parts, boolean closesUp, boolean records, boolean observes) {}

    private CudaBackend(
            ModelWeights weights,
            CudaDevice device,
            KvStorage cache,
            StepInputs inputs,
            CudaTransformer transformer,
            StepResults results,
            BackendConfig backend) {
        this.config = weights.config();
        this.contextLength = backend.contextLength();
        this.labelChannels = weights.labelChannels();
        this.device = device;
        this.cache = cache;
        this.inputs = inputs;
        this.transformer = transformer;
        this.results = results;
        pageData = new PageDataStorage(device, config, cache, labelChannels, inputs);
        records = new TokenRecords(device, config, cache, inputs);
        eviction = new CudaEviction(device, config, cache, inputs, records);
        probe = new CudaProbe(device, config, transformer.attention(), backend.recallProbe());
        statistics = new ReadStatistics(config, cache.pageSize(), cache.tokenBytes());
        selectionSlots = new SelectionSlots(config, inputs.maxSequences());
        breakEven = new BreakEven(config, cache.pageSize(), cache.tokenBytes(), device.bandwidth());
    }

    static CudaBackend open(ModelWeights weights, BackendConfig backend) {
        ModelConfig config = weights.config();
        KvCacheConfig kvCache = backend.kvCache();
        requireSupported(weights, kvCache);
        LabelChannels.requireFor(backend.attention(), config, weights.labelChannels());
        CudaSelection.requireRanks(backend.attention(), config, backend.contextLength(), kvCache.pageSize());
        CudaDevice device = new CudaDevice(backend.ordinal());
        StepInputs inputs = null;
        StepResults results = null;
        try {
            CudaModel model = ModelUpload.upload(device, weights, backend.weights());
            int pagesPerSequence = (backend.contextLength() + kvCache.pageSize() - 1) / kvCache.pageSize();
            int batch = DecodeGraph.bucket(backend.maxBatchSize());
            inputs = new StepInputs(device, config, Math.max(backend.maxTokens(), batch), batch, pagesPerSequence);
            Products products = new Products(device, CudaTransformer.largestUnpacked(model));
            CudaTransformer transformer = new CudaTransformer(device, model, kvCache.type(), inputs, products);
            // The last, since it takes what is left.
            KvStorage cache = KvStorage.allocate(
                    device,
                    config,
                    kvCache,
                    (long) backend.maxBatchSize() * pagesPerSequence,
                    PageDataStorage.bytes(backend.attention(), config, kvCache.pageSize())
                            + TokenRecords.bytes(backend.attention(), config, kvCache.pageSize()));
            if (cache.pages() < pagesPerSequence) {
                LOG.warn(
                        "The KV cache holds {} tokens, less than the context length of {}: raise kv-cache.memory, choose"
                                + " kv-cache.type fp8, or lower context-length",
                        (long) cache.pages() * kvCache.pageSize(),
                        backend.contextLength());
            }
            results = new StepResults(device, inputs.maxRows(), config.vocabSize());
            return new CudaBackend(weights, device, cache, inputs, transformer, results, backend);
        } catch (RuntimeException | Error e) {
            if (results != null) {
                results.close();
            }
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
        LabelChannels.requireFor(method, config, labelChannels);
        CudaSelection.requireRanks(method, config, contextLength, cache.pageSize());
    }

    @Override
    public int leastContext(AttentionMethod method) {
        return breakEven.tokens(method);
    }

    @Override
    public List<SpanResult> forward(List<Span> spans) {
        requireOpen();
        device.current();
        eviction.flush();
        Step step = Step.of(spans);
        SelectionPlan plan = SelectionPlan.of(step, config, selectionSlots);
        if (!inputs.fits(plan)) {
            // Methods that begin to select in many different layers: rare, so the half of them at a time.
            int half = spans.size() / 2;
            List<SpanResult> results = new ArrayList<>(forward(spans.subList(0, half)));
            results.addAll(forward(spans.subList(half, spans.size())));
            return results;
        }
        clearNewPages(step);
        prepare(step, plan);
        probe.begin(step, selection);
        List<SpanResult> inOrder = step.isDecode() && DecodeGraph.bucket(step.rows()) <= CudaTransformer.LOGIT_ROWS
                ? decode(step, plan)
                : process(step, plan);
        SpanResult[] ordered = new SpanResult[spans.size()];
        for (int s = 0; s < ordered.length; s++) {
            ordered[step.origins().get(s)] = inOrder.get(s);
        }
        return Arrays.asList(ordered);
    }

    /** Forgets what is known of pages whose first slot is written in this step. */
    private void clearNewPages(Step step) {
        int pageSize = cache.pageSize();
        for (Span span : step.spans()) {
            int slots = span.sequence().slots();
            for (int p = (slots + pageSize - 1) / pageSize; p * pageSize < slots + span.count(); p++) {
                pageData.clear(span.sequence().page(p));
            }
        }
    }

    /** Takes the memory that the step's methods need. */
    private void prepare(Step step, SelectionPlan plan) {
        transformer.attention().prepare(step);
        for (Span span : step.spans()) {
            pageData.require(span.attention());
            if (span.observation() != null) {
                records.require(span.observation().method());
            }
        }
        if (selection == null && plan.lists()) {
            selection = new CudaSelection(
                    device,
                    config,
                    cache,
                    pageData,
                    inputs,
                    records,
                    transformer.attention().queries());
        }
        if (selection == null) {
            return;
        }
        for (Interval interval : plan.intervals()) {
            selection.prepare(interval.stages());
        }
    }

    private void requireOpen() {
        if (closed) {
            throw new BackendException("The CUDA backend is closed");
        }
    }

    /** A step of single tokens by a graph, which gives the logits of all. */
    private List<SpanResult> decode(Step step, SelectionPlan plan) {
        int rows = DecodeGraph.bucket(step.rows());
        inputs.write(step, plan, rows, cache.sparePage(), step.allRows(rows));
        if (pageData.find(step, false)) {
            inputs.copy(rows, device.stream());
            pageData.fill(0, config.layers());
        }
        GraphKey key = new GraphKey(
                rows,
                plan.shape(),
                transformer.attention().parts(step),
                step.closesUp(),
                step.records(),
                step.observes());
        DecodeGraph graph = probe.isIdle() ? graphs.get(key) : null;
        if (graph != null) {
            graph.launch(device.stream());
        } else {
            queueDecode(step, plan, rows);
        }
        if (step.wantsLogits()) {
            results.copyLogits(transformer.logits(), step.rows());
        }
        device.synchronize();
        if (graph == null && probe.isIdle()) {
            // What is made on first use, such as loaded kernels, can't be made during a capture, but is there now.
            graphs.put(key, new DecodeGraph(device.stream(), () -> queueDecode(step, plan, rows)));
        }
        List<SpanResult> found = new ArrayList<>();
        for (int s = 0; s < step.spans().size(); s++) {
            int row = s;
            found.add(result(
                    step.spans().get(s), i -> results.drawn(row), i -> results.logits(row), read(step, plan, s, s)));
        }
        return found;
    }

    private void queueDecode(Step step, SelectionPlan plan, int rows) {
        inputs.copy(rows, device.stream());
        queueLayers(step, plan, rows, rows, rows, layer -> {});
        transformer.runLogits(0, rows);
        results.copyDrawn(transformer.drawn(), rows);
    }

    /** @param sequences of the step and padding, as are {@code rows} and {@code entries} */
    private void queueLayers(
            Step step, SelectionPlan plan, int rows, int entries, int sequences, IntConsumer afterAppend) {
        if (step.records()) {
            records.write(rows);
        }
        CudaAttention attention = transformer.attention();
        boolean observes = step.observes();
        DeviceBuffer tally = attention.tally();
        boolean counts = plan.lists();
        if (counts) {
            results.clearCounts(tally, entries);
        }
        transformer.runLayers(cache, step, plan, rows, entries, selection, afterAppend, layer -> {
            if (observes) {
                eviction.observe(
                        layer,
                        attention.queries().address(),
                        attention.logSums().address(),
                        sequences);
            }
            if (!probe.isIdle()) {
                Stages stages = plan.intervals().get(plan.interval(layer)).stages();
                probe.queue(cache, layer, step, selection, stages, transformer.attended());
            }
        });
        if (counts) {
            results.copyCounts(tally, entries);
        }
    }

    /** Any step. */
    private List<SpanResult> process(Step step, SelectionPlan plan) {
        List<LogitRow> wanted = step.logitRows();
        inputs.write(step, plan, step.rows(), cache.sparePage(), wanted);
        inputs.copy(step.spans().size(), device.stream());
        boolean lacks = !step.isDense() && pageData.find(step, true);
        queueLayers(step, plan, step.rows(), step.entries(), step.spans().size(), layer -> {
            if (lacks) {
                pageData.fill(layer, 1);
                // What ranks pages reads their data before the kernel before it has ended.
                device.synchronize();
            }
        });
        boolean wantsLogits = step.wantsLogits();
        float[][] logits = new float[wanted.size()][];
        int[] drawn = new int[wanted.size()];
        for (int from = 0; from < wanted.size(); from += CudaTransformer.LOGIT_ROWS) {
            int count = Math.min(CudaTransformer.LOGIT_ROWS, wanted.size() - from);
            transformer.runLogits(from, count);
            results.copyDrawn(transformer.drawn(), count);
            if (wantsLogits) {
                results.copyLogits(transformer.logits(), count);
            }
            device.synchronize();
            for (int i = 0; i < count; i++) {
                drawn[from + i] = results.drawn(i);
                logits[from + i] = wantsLogits ? results.logits(i) : null;
            }
        }
        if (wanted.isEmpty()) {
            device.synchronize();
        }
        List<SpanResult> found = new ArrayList<>();
        int next = 0;
        int row = 0;
        for (int s = 0; s < step.spans().size(); s++) {
            Span span = step.spans().get(s);
            int first = next;
            found.add(result(span, i -> drawn[first + i], i -> logits[first + i], read(step, plan, s, row)));
            next += Step.logitRows(span);
            row += span.count();
        }
        return found;
    }

    private static SpanResult result(
            Span span, IntUnaryOperator drawn, IntFunction<float[]> logits, AttentionStats attention) {
        return switch (span.logits()) {
            case NONE -> new SpanResult(new float[0][], -1, attention);
            case TOKEN -> new SpanResult(new float[0][], drawn.applyAsInt(0), attention);
            case LAST, ALL -> {
                float[][] rows = new float[Step.logitRows(span)][];
                Arrays.setAll(rows, logits::apply);
                yield new SpanResult(rows, -1, attention);
            }
        };
    }

    /** What a span read, whose first row is {@code row}. */
    private AttentionStats read(Step step, SelectionPlan plan, int index, int row) {
        Span span = step.spans().get(index);
        AttentionStats read = AttentionStats.NONE;
        if (!(span.attention() instanceof Dense)) {
            boolean lists = plan.lists();
            for (int i = 0; i < span.count(); i++) {
                long tokens = lists ? results.tokens(row + i) : 0;
                long pages = lists ? results.pages(row + i) : 0;
                read = read.plus(statistics.of(plan, row + i, span, i, tokens, pages));
            }
        }
        return probe.isIdle() ? read : read.plus(probe.result(index));
    }

    @Override
    public void evict(KvSequence sequence, EvictionMethod method, int keep) {
        requireOpen();
        device.current();
        eviction.add(sequence, method, keep);
    }

    @Override
    public void close() {
        if (closed) {
            return;
        }
        closed = true;
        device.tryCurrent();
        graphs.values().forEach(DecodeGraph::close);
        inputs.close();
        pageData.close();
        eviction.close();
        probe.close();
        results.close();
        device.close();
    }
}
