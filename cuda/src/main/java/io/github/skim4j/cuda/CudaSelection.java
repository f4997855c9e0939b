package io.github.skim4j.cuda;

import io.github.skim4j.cuda.RowMethod.Rank;
import io.github.skim4j.cuda.SelectionPlan.Stages;
import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.backend.BackendException;
import io.github.skim4j.engine.model.ModelConfig;
import java.util.Locale;

/**
 * Makes, for each entry of a step and each KV head, the list of pages that attention reads: rank and keep the best, rank those again,
 * add a sample of the rest; or by top-p the list of their tokens. What each stage does for an entry is its {@link RowMethod}; see
 * {@code selection.cuh}.
 */
final class CudaSelection {

    /** Entries whose lists there is room for; more are done in turn. */
    static final int MOST_ENTRIES = 64;

    /** Tokens of a question that select in one step. */
    private static final int QUESTION_ENTRIES = 32;

    private static final String WHAT = "attention methods that select";
    private static final String REMEDY = "Lower scheduler.max-batch-size or context-length, or kv-cache.memory";

    /** Pages that a block ranks at a time, and has a reference for. */
    private static final int SCORE_CHUNK = 64;

    private static final int SCORE_CHUNK_INT4 = 16;
    private static final int SCORE_THREADS = 128;
    private static final int SCORE_THREADS_BITS = 256;
    private static final int SCORE_THREADS_EXACT = 512;

    /** Blocks of a multiprocessor. */
    private static final int TOPP_LOGIT_BLOCKS = 4;

    /** Pages of the longest list that each of the kernels cuts. */
    private static final int[] SIZES = {512, 2048, 4096, 8192, 32768};

    private static final int MOST_PAGES = SIZES[SIZES.length - 1];

    private static final int SELECT_THREADS = 1024;

    /** Of kernels up to {@link #FEW_PAGES}. */
    private static final int FEW_SELECT_THREADS = 512;

    private static final int FEW_PAGES = 2048;

    private static final int TOPP_LOGIT_THREADS = 128;
    private static final int TOPP_LOGIT_TOKENS = 256;
    private static final int MOST_TOPP_LOGIT_PARTS = 64;
    private static final int TOPP_THREADS = 512;
    private static final int REUSE_THREADS = 256;
    private static final int HIDE_THREADS = 256;

    private final CudaDevice device;
    private final CudaStream stream;
    private final ModelConfig config;
    private final KvStorage cache;
    private final PageDataStorage pageData;
    private final StepInputs inputs;
    private final TokenRecords records;
    private final DeviceBuffer queries;
    private final int entries;
    private final int stride;
    private final int scoreStride;
    private final int referenceStride;
    private final int logitParts;
    private final int headTiles;
    private final String variant;

    private final DeviceBuffer pages;
    private final DeviceBuffer indices;
    private final DeviceBuffer counts;
    private final DeviceBuffer first;
    private final DeviceBuffer last;
    private final DeviceBuffer scores;
    private final DeviceBuffer references;
    /** Made when a method first needs them. */
    private DeviceBuffer masks;

    private DeviceBuffer logWeights;
    private TopP topP;
    private Kept kept;
    private CudaSample sample;

    /** Memory of top-p. */
    private record TopP(
            DeviceBuffer logits, int logitStride, DeviceBuffer maxima, DeviceBuffer counts, DeviceBuffer tickets) {}

    /** Pages that serve several tokens of a sequence: [layer][slot][kvHead] how many, and [tableStride] which of its table. */
    private record Kept(DeviceBuffer counts, DeviceBuffer indices) {}

    /**
     * Addresses of lists of tokens in place of pages.
     *
     * @param stride ints between two lists
     * @param counts of tokens; negative: the list is one of pages
     */
    record Tokens(long codes, int stride, long counts) {

        static final Tokens NONE = new Tokens(0, 0, 0);
    }

    /** @param queries rotated queries of a step's rows, [row][heads * headDim] */
    CudaSelection(
            CudaDevice device,
            ModelConfig config,
            KvStorage cache,
            PageDataStorage pageData,
            StepInputs inputs,
            TokenRecords records,
            DeviceBuffer queries) {
        this.device = device;
        this.stream = device.stream();
        this.config = config;
        this.cache = cache;
        this.pageData = pageData;
        this.inputs = inputs;
        this.records = records;
        this.queries = queries;
        entries = Math.min(Math.min(MOST_ENTRIES, inputs.maxRows()), Math.max(QUESTION_ENTRIES, inputs.maxSequences()));
        // The scores of four pages are loaded at once.
        scoreStride = (inputs.tableStride() + 3) / 4 * 4;
        // A sample lists some pages more than once.
        stride = 2 * scoreStride;
        referenceStride = (scoreStride + SCORE_CHUNK_INT4 - 1) / SCORE_CHUNK_INT4;
        headTiles = CudaAttention.headTiles(config);
        int tokens = scoreStride * cache.pageSize();
        int most = Math.min(MOST_TOPP_LOGIT_PARTS, blocks(TOPP_LOGIT_BLOCKS, 1));
        logitParts = Math.max(1, Math.min(most, (tokens + TOPP_LOGIT_TOKENS - 1) / TOPP_LOGIT_TOKENS));
        variant = cache.variant(config);
        pages = lists(Integer.BYTES * (long) stride);
        indices = lists(Integer.BYTES * (long) stride);
        counts = lists(Integer.BYTES);
        first = lists(Integer.BYTES);
        last = lists(Integer.BYTES);
        scores = lists((long) Float.BYTES * config.group() * scoreStride);
        references = lists(2L * Float.BYTES * config.group() * referenceStride);
    }

    /** Blocks for each list of {@code count} entries, no more in all than run at once. */
    private int blocks(int ofProcessor, int count) {
        return Math.max(1, ofProcessor * device.multiprocessors() / (config.kvHeads() * headTiles * count));
    }

    private DeviceBuffer lists(long bytes) {
        return device.allocateCleared(bytes * entries * config.kvHeads(), WHAT, REMEDY);
    }

    /** Entries whose lists there is room for. */
    int capacity() {
        return entries;
    }

    int stride() {
        return stride;
    }

    DeviceBuffer pages() {
        return pages;
    }

    DeviceBuffer counts() {
        return counts;
    }

    DeviceBuffer first() {
        return first;
    }

    DeviceBuffer last() {
        return last;
    }

    /** Tokens of the listed pages; {@code null} if these are read whole. */
    DeviceBuffer masks(Stages stages) {
        return stages.masks() ? masks : null;
    }

    /** Log weights of the listed pages; {@code null} if all are 0. */
    DeviceBuffer logWeights(Stages stages) {
        return stages.samples() ? logWeights : null;
    }

    /** What top-p left of the lists of an entry, counted among those made at a time, and of the entries after it. */
    Tokens tokens(Stages stages, int entry) {
        if (!stages.prunes()) {
            return Tokens.NONE;
        }
        long list = (long) entry * config.kvHeads();
        // In place of the logits of the lists' first heads.
        int tokenStride = config.group() * topP.logitStride;
        return new Tokens(
                topP.logits.address() + list * tokenStride * Integer.BYTES,
                tokenStride,
                topP.counts.address() + list * Integer.BYTES);
    }

    /** Takes the memory that stages need; not during a capture. */
    void prepare(Stages stages) {
        if (masks == null && stages.masks()) {
            masks = lists(Long.BYTES * (long) stride);
        }
        if (logWeights == null && stages.samples()) {
            logWeights = lists(Float.BYTES * (long) stride);
        }
        if (topP == null && stages.prunes()) {
            int slots = scoreStride * cache.pageSize();
            // A bit of each slot lies behind the logits.
            int logitStride = slots + (slots + 127) / 128 * 4;
            topP = new TopP(
                    lists((long) Float.BYTES * config.group() * logitStride),
                    logitStride,
                    lists((long) Float.BYTES * config.group() * logitParts),
                    lists(Integer.BYTES),
                    lists(Integer.BYTES));
        }
        if (kept == null && stages.reuses()) {
            long lists = (long) config.layers() * keptLists();
            kept = new Kept(
                    device.allocateCleared(lists * Integer.BYTES, WHAT, REMEDY),
                    device.allocateCleared(lists * inputs.tableStride() * Integer.BYTES, WHAT, REMEDY));
        }
        if (sample == null && stages.samples()) {
            sample = new CudaSample(device, config, cache, inputs, entries);
        }
        if (stages.samples()) {
            sample.prepare(stages);
        }
    }

    /** Queues the making of the lists of {@code count} entries from {@code from} on. */
    void run(int layer, int interval, Stages stages, int from, int count) {
        boolean ranks = !stages.first().isEmpty();
        for (PageData ranking : stages.first()) {
            score(layer, interval, stages, from, count, ranking, 1);
        }
        if (ranks || !stages.reuses()) {
            select("select_pages_", stages.size(), layer, interval, stages, from, count);
        }
        if (stages.second()) {
            score(layer, interval, stages, from, count, new PageData(Rank.INT4, config.headDim()), 2);
            select("select_again_", stages.secondSize(), layer, interval, stages, from, count);
        }
        if (stages.reuses()) {
            reuse(layer, interval, stages, from, count, !ranks);
        }
        if (stages.prunes()) {
            prune(layer, interval, stages, from, count);
        }
        if (stages.samples()) {
            Arguments common = common(new Arguments().beginStruct(), layer, interval, stages, from);
            sample.run(layer, stages, count, common);
        }
        if (stages.hides()) {
            Arguments arguments = common(new Arguments().beginStruct(), layer, interval, stages, from)
                    .address(inputs.firstVisible(from));
            records.add(arguments, layer).endStruct();
            device.kernel("hide_evicted").launch(stream, config.kvHeads(), count, 1, HIDE_THREADS, 0, arguments);
        }
    }

    /** Lists of a layer that serve several tokens. */
    private int keptLists() {
        return inputs.maxSequences() * config.kvHeads();
    }

    /** @param listsOthers whether the lists of other entries are still to be made */
    private void reuse(int layer, int interval, Stages stages, int from, int count, boolean listsOthers) {
        long lists = (long) layer * keptLists();
        Arguments arguments = common(new Arguments().beginStruct(), layer, interval, stages, from)
                .address(kept.counts.address() + lists * Integer.BYTES)
                .address(kept.indices.address() + lists * inputs.tableStride() * Integer.BYTES)
                .integer(inputs.tableStride())
                .integer(listsOthers ? 1 : 0)
                .endStruct();
        device.kernel("reuse_pages").launch(stream, config.kvHeads(), count, 1, REUSE_THREADS, 0, arguments);
    }

    private void score(int layer, int interval, Stages stages, int from, int count, PageData ranking, int stage) {
        Rank rank = ranking.rank();
        boolean hasData = rank != Rank.EXACT && rank != Rank.RANDOM;
        String name = switch (rank) {
            case EXACT -> "score_exact" + variant;
            case RANDOM -> "score_random";
            case LABELS -> "score_int4_" + ranking.channels();
            default -> "score_" + rank.name().toLowerCase(Locale.ROOT) + "_" + ranking.channels();
        };
        int chunk = scoreChunk(rank);
        Arguments arguments = common(new Arguments().beginStruct(), layer, interval, stages, from)
                .integer(stage)
                .integer(rank.ordinal())
                .address(hasData ? pageData.layer(ranking, layer) : cache.layer(layer))
                .address(hasData ? pageData.labels(ranking, layer) : 0)
                .integer(config.headDim())
                .endStruct();
        device.kernel(name)
                .launch(
                        stream,
                        Math.min((scoreStride + chunk - 1) / chunk, blocks(scoreBlocks(rank), count)),
                        config.kvHeads() * headTiles,
                        count,
                        scoreThreads(ranking),
                        0,
                        arguments);
    }

    /** As in {@code selection.cuh}. */
    private int scoreChunk(Rank rank) {
        return switch (rank) {
            case INT4, LABELS -> SCORE_CHUNK_INT4;
            case EXACT, RANDOM -> SCORE_CHUNK;
            default -> SCORE_CHUNK * 16 / cache.pageSize();
        };
    }

    private static int scoreThreads(PageData ranking) {
        return switch (ranking.rank()) {
            case EXACT -> SCORE_THREADS_EXACT;
            case SKETCH -> ranking.channels() == 64 || ranking.channels() == 128 ? SCORE_THREADS_BITS : SCORE_THREADS;
            default -> SCORE_THREADS;
        };
    }

    /** Blocks of a multiprocessor that score fastest. */
    private static int scoreBlocks(Rank rank) {
        return switch (rank) {
            case EXACT -> 1;
            case SKETCH -> 2;
            case BOUNDS8, MOMENTS8 -> 3;
            default -> 4;
        };
    }

    /** @throws BackendException if a method ranks more pages of the longest sequence than there is a kernel for */
    static void requireRanks(AttentionMethod method, ModelConfig config, int contextLength, int pageSize) {
        // The first layer sees the most.
        int layer = method.denseLayers();
        int visible = Math.min(contextLength, config.window(layer));
        // A window that begins within a page lies on one more.
        int pages = (visible - 1) / pageSize + (visible < contextLength ? 2 : 1);
        RowMethod row = RowMethod.of(method, visible, pages, pageSize);
        if (layer < config.layers() && Math.max(row.ranked(), row.rankedAgain()) > MOST_PAGES) {
            throw new BackendException("the CUDA backend ranks " + MOST_PAGES + " pages at most, but with "
                    + method.name() + " there are " + pages + " of " + pageSize + " tokens in the context length of "
                    + contextLength + ": raise kv-cache.page-size, lower context-length or choose another"
                    + " attention.method");
        }
    }

    /** Size of the kernel that cuts a list of so many pages. */
    static int size(int pages) {
        for (int size : SIZES) {
            if (size >= pages) {
                return size;
            }
        }
        throw new IllegalArgumentException(pages + " pages are more than " + MOST_PAGES);
    }

    private void select(String kernel, int size, int layer, int interval, Stages stages, int from, int count) {
        Arguments arguments = common(new Arguments().beginStruct(), layer, interval, stages, from)
                .endStruct();
        int threads = size <= FEW_PAGES ? FEW_SELECT_THREADS : SELECT_THREADS;
        device.kernel(kernel + size).launch(stream, config.kvHeads(), count, 1, threads, 0, arguments);
    }

    private void prune(int layer, int interval, Stages stages, int from, int count) {
        int parts = Math.min(logitParts, blocks(TOPP_LOGIT_BLOCKS, count));
        PageData keys = new PageData(Rank.INT4, config.headDim());
        Tokens tokens = tokens(stages, 0);
        Arguments arguments = common(new Arguments().beginStruct(), layer, interval, stages, from)
                .address(pageData.has(keys) ? pageData.layer(keys, layer) : 0)
                .address(cache.layer(layer))
                .address(topP.logits)
                .integer(topP.logitStride)
                .address(topP.maxima)
                .integer(parts)
                .address(tokens.codes)
                .integer(tokens.stride)
                .address(tokens.counts)
                .address(topP.tickets)
                .endStruct();
        int lists = config.kvHeads() * headTiles;
        device.kernel("topp_logits" + variant).launch(stream, parts, lists, count, TOPP_LOGIT_THREADS, 0, arguments);
        device.kernel("topp_tokens").launch(stream, config.heads(), count, 1, TOPP_THREADS, 0, arguments);
    }

    /** What all kernels of selection are given. */
    private Arguments common(Arguments arguments, int layer, int interval, Stages stages, int from) {
        boolean windowed = config.window(layer) != Integer.MAX_VALUE;
        int columns = config.heads() * config.headDim();
        return arguments
                .address(inputs.methods(interval, from))
                .address(inputs.first(from, windowed))
                .address(inputs.last(from))
                .address(inputs.sequences(from))
                .address(inputs.pageTables())
                .integer(inputs.tableStride())
                .integer(cache.pageSize())
                .integer(config.kvHeads())
                .integer(config.group())
                .integer(layer)
                .address(queries.address() + (long) from * columns * Float.BYTES)
                .integer(columns)
                .address(0)
                .real((float) (1 / Math.sqrt(config.headDim())))
                .address(pages)
                .address(indices)
                .address(counts)
                .address(first)
                .address(last)
                .address(masks(stages))
                .address(logWeights(stages))
                .integer(stride)
                .align()
                .address(scores)
                .integer(scoreStride)
                .address(references)
                .integer(referenceStride)
                .align();
    }
}
