package io.github.skim4j.cuda;

import io.github.skim4j.cuda.RowMethod.Rank;
import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.attention.DoubleSparsity;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.kv.KvSequence;
import io.github.skim4j.engine.model.LabelChannels;
import io.github.skim4j.engine.model.ModelConfig;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Deque;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import jcuda.Pointer;
import jcuda.driver.JCudaDriver;

/**
 * The page data of all kinds that methods have asked for, each [layer][page][kvHead] in device memory. They are made of whole pages
 * when a sequence's method first needs them, so that they depend neither on how a prompt was cut nor on who computed a page.
 */
final class PageDataStorage implements AutoCloseable {

    private static final int FILL_THREADS = 128;
    private static final int FILL_BLOCKS_PER_PROCESSOR = 4;

    private final CudaDevice device;
    private final CudaStream stream;
    private final ModelConfig config;
    private final KvStorage cache;
    private final LabelChannels labelChannels;
    private final StepInputs inputs;
    private final Map<PageData, Stored> kinds = new LinkedHashMap<>();
    /** Where the mean of the sequences that begin with a page is. */
    private final Map<Integer, Integer> meanSlots = new HashMap<>();

    private final Deque<Integer> freeSlots = new ArrayDeque<>();
    private DeviceBuffer means;
    /** The method that was asked about last, as batches mostly have but one, and what it reads. */
    private AttentionMethod asked;

    private Set<PageData> askedKinds;

    /**
     * Data of one kind.
     *
     * @param filled pages that have them
     * @param found pages that get them in this step
     * @param labels dimensions of the channels; {@code null} if channels are dimensions
     * @param pinnedWork what there is to do in this step: a count; for each sequence its mean's slot and the number of pages that this
     *     is taken of; pairs of a sequence and a page
     * @param work the same on the device
     */
    private record Stored(
            PageData kind,
            DeviceBuffer buffer,
            long layerBytes,
            BitSet filled,
            BitSet found,
            DeviceBuffer labels,
            PinnedBuffer pinnedWork,
            DeviceBuffer work) {

        int count() {
            return pinnedWork.bytes().getInt(0);
        }

        void count(int count) {
            pinnedWork.bytes().putInt(0, count);
        }
    }

    PageDataStorage(
            CudaDevice device, ModelConfig config, KvStorage cache, LabelChannels labelChannels, StepInputs inputs) {
        this.device = device;
        this.stream = device.stream();
        this.config = config;
        this.cache = cache;
        this.labelChannels = labelChannels;
        this.inputs = inputs;
    }

    /** Bytes of a page, all layers together, that a method keeps beside keys and values. */
    static long bytes(AttentionMethod method, ModelConfig config, int pageSize) {
        return PageData.of(method, config.headDim()).stream()
                .mapToLong(kind -> (long) kind.bytes(pageSize) * config.kvHeads() * config.layers())
                .sum();
    }

    /** Takes memory for what a method reads, if it has none yet. */
    void require(AttentionMethod method) {
        for (PageData kind : kinds(method)) {
            if (!kinds.containsKey(kind)) {
                kinds.put(kind, allocate(kind, method));
            }
        }
    }

    private Set<PageData> kinds(AttentionMethod method) {
        if (method != asked) {
            asked = method;
            askedKinds = PageData.of(method, config.headDim());
        }
        return askedKinds;
    }

    private Stored allocate(PageData kind, AttentionMethod method) {
        String what = "what " + method.name() + " reads beside keys and values";
        String remedy = "Set attention.method to " + method.name()
                + ", so that the KV cache leaves room, or lower kv-cache.memory";
        if (kind.rank() == Rank.SKETCH && means == null) {
            int slots = slots();
            for (int i = slots - 1; i >= 0; i--) {
                freeSlots.push(i);
            }
            means = device.allocate(
                    (long) config.layers() * slots * config.kvHeads() * config.headDim() * Float.BYTES, what, remedy);
        }
        DeviceBuffer labels = null;
        if (kind.rank() == Rank.LABELS) {
            labels = uploadLabels((DoubleSparsity) method.selector(), kind.channels(), what, remedy);
        }
        long layerBytes = (long) (cache.pages() + 1) * config.kvHeads() * kind.bytes(cache.pageSize());
        DeviceBuffer buffer = device.allocate(layerBytes * config.layers(), what, remedy);
        DeviceBuffer work = device.allocate(workBytes(), what, remedy);
        PinnedBuffer pinnedWork = new PinnedBuffer(workBytes());
        return new Stored(kind, buffer, layerBytes, new BitSet(), new BitSet(), labels, pinnedWork, work);
    }

    private DeviceBuffer uploadLabels(DoubleSparsity method, int channels, String what, String remedy) {
        int[][][] first = labelChannels.first(method.channels());
        int[] labels = new int[config.layers() * config.kvHeads() * channels];
        Arrays.fill(labels, -1);
        for (int layer = 0; layer < config.layers(); layer++) {
            for (int head = 0; head < config.kvHeads(); head++) {
                int[] dimensions = first[layer][head];
                System.arraycopy(
                        dimensions, 0, labels, (layer * config.kvHeads() + head) * channels, dimensions.length);
            }
        }
        DeviceBuffer buffer = device.allocate((long) labels.length * Integer.BYTES, what, remedy);
        Driver.check(JCudaDriver.cuMemcpyHtoD(buffer.pointer(), Pointer.to(labels), buffer.bytes()), "cuMemcpyHtoD");
        return buffer;
    }

    /** Sequences that are long enough for a mean. */
    private int slots() {
        return cache.pages() / Math.max(1, PageData.MEAN_TOKENS / cache.pageSize()) + 1;
    }

    private long workBytes() {
        return pairsOffset() + (long) (cache.pages() + 1) * 2 * Integer.BYTES;
    }

    private int pairsOffset() {
        return meanOffset(inputs.maxSequences());
    }

    private static int meanOffset(int sequence) {
        return (1 + sequence) * 2 * Integer.BYTES;
    }

    /** A page comes to another sequence. */
    void clear(int page) {
        kinds.values().forEach(stored -> stored.filled.clear(page));
        Integer slot = meanSlots.remove(page);
        if (slot != null) {
            freeSlots.push(slot);
        }
    }

    boolean has(PageData kind) {
        return kinds.containsKey(kind);
    }

    /** Address of a layer's data. */
    long layer(PageData kind, int layer) {
        Stored stored = kinds.get(kind);
        return stored.buffer.address() + layer * stored.layerBytes;
    }

    /** Address of a layer's label channels; 0 if channels are dimensions. */
    long labels(PageData kind, int layer) {
        DeviceBuffer labels = kinds.get(kind).labels;
        return labels == null
                ? 0
                : labels.address() + (long) layer * config.kvHeads() * kind.channels() * Integer.BYTES;
    }

    /**
     * Finds what a step's sequences lack.
     *
     * @param withStep whether keys of the step itself will be in the cache, so that pages that it ends count
     * @return whether there is anything to {@link #fill}
     */
    boolean find(Step step, boolean withStep) {
        boolean any = false;
        for (Stored stored : kinds.values()) {
            stored.count(0);
            if (lacks(stored, step, withStep)) {
                if (stored.kind.rank() == Rank.SKETCH) {
                    makeRoomForMeans(stored, step);
                }
                writeWork(stored, step, withStep);
                any = true;
            }
        }
        return any;
    }

    private boolean lacks(Stored stored, Step step, boolean withStep) {
        for (Span span : step.spans()) {
            if (needs(stored, span) && firstMissing(stored, span, withStep) < whole(span, withStep)) {
                return true;
            }
        }
        return false;
    }

    /** Queues the making of what was found, in some layers, these one after the other. The page tables are on the device. */
    void fill(int firstLayer, int layers) {
        for (Stored stored : kinds.values()) {
            if (stored.count() > 0) {
                queueFill(stored, firstLayer, layers);
            }
        }
    }

    private boolean needs(Stored stored, Span span) {
        return kinds(span.attention()).contains(stored.kind);
    }

    private int whole(Span span, boolean withStep) {
        return (span.sequence().length() + (withStep ? span.count() - 1 : 0)) / cache.pageSize();
    }

    private int firstMissing(Stored stored, Span span, boolean withStep) {
        int whole = whole(span, withStep);
        if (whole * cache.pageSize() < stored.kind.minTokens()) {
            return whole;
        }
        int first = whole;
        while (first > 0 && !stored.filled.get(span.sequence().page(first - 1))) {
            first--;
        }
        return first;
    }

    private void writeWork(Stored stored, Step step, boolean withStep) {
        ByteBuffer bytes = stored.pinnedWork.bytes();
        stored.found.clear();
        int count = 0;
        for (int s = 0; s < step.spans().size(); s++) {
            Span span = step.spans().get(s);
            if (!needs(stored, span)) {
                continue;
            }
            KvSequence sequence = span.sequence();
            int whole = whole(span, withStep);
            for (int p = firstMissing(stored, span, withStep); p < whole; p++) {
                if (stored.kind.rank() == Rank.SKETCH) {
                    // Of all keys there were before the first token that selects: they say more than the first few.
                    int tokens = Math.max(PageData.MEAN_TOKENS, sequence.slots());
                    bytes.putInt(meanOffset(s), meanSlot(sequence.page(0)))
                            .putInt(meanOffset(s) + Integer.BYTES, tokens / cache.pageSize());
                }
                int at = pairsOffset() + count++ * 2 * Integer.BYTES;
                bytes.putInt(at, s).putInt(at + Integer.BYTES, p);
                stored.found.set(sequence.page(p));
            }
        }
        stored.count(count);
    }

    /** First pages that only the prefix cache keeps have means too: if these take all room, sketches are made anew when they are needed. */
    private void makeRoomForMeans(Stored sketches, Step step) {
        long missing = step.spans().stream()
                .filter(span -> needs(sketches, span) && span.sequence().slots() >= PageData.MEAN_TOKENS)
                .filter(span -> !meanSlots.containsKey(span.sequence().page(0)))
                .count();
        if (missing > freeSlots.size()) {
            freeSlots.addAll(meanSlots.values());
            meanSlots.clear();
            sketches.filled.clear();
        }
    }

    private int meanSlot(int firstPage) {
        return meanSlots.computeIfAbsent(firstPage, page -> freeSlots.pop());
    }

    private void queueFill(Stored stored, int firstLayer, int layers) {
        if (firstLayer == 0) {
            long bytes = pairsOffset() + stored.count() * 2L * Integer.BYTES;
            Driver.check(
                    JCudaDriver.cuMemcpyHtoDAsync(stored.work.pointer(), stored.pinnedWork.pointer(), bytes, stream),
                    "cuMemcpyHtoDAsync");
        }
        String variant = cache.variant(config);
        if (stored.kind.rank() == Rank.SKETCH) {
            launch("sketch_mean" + variant, stored, firstLayer, layers);
        }
        launch(stored.kind.fillKernel() + variant, stored, firstLayer, layers);
        if (firstLayer + layers == config.layers()) {
            stored.filled.or(stored.found);
        }
    }

    private void launch(String kernel, Stored stored, int firstLayer, int layers) {
        PageData kind = stored.kind;
        long meanBytes = (long) slots() * config.kvHeads() * config.headDim() * Float.BYTES;
        Arguments arguments = new Arguments()
                .beginStruct()
                .address(stored.work.address() + pairsOffset())
                .address(stored.work)
                .address(inputs.pageTables())
                .integer(inputs.tableStride())
                .integer(cache.pageSize())
                .integer(config.kvHeads())
                .address(cache.layer(firstLayer))
                .address(cache.layerBytes())
                .address(layer(kind, firstLayer))
                .address(stored.layerBytes)
                .address(labels(kind, firstLayer))
                .integer(kind.channels())
                .address(means == null ? 0 : means.address() + firstLayer * meanBytes)
                .address(stored.work.address() + meanOffset(0))
                .integer(slots())
                .endStruct();
        device.kernel(kernel)
                .launch(
                        stream,
                        FILL_BLOCKS_PER_PROCESSOR * device.multiprocessors(),
                        layers,
                        1,
                        FILL_THREADS,
                        0,
                        arguments);
    }

    @Override
    public void close() {
        kinds.values().forEach(stored -> stored.pinnedWork.close());
    }
}
