package io.github.skim4j.cuda;

import io.github.skim4j.cuda.CudaModel.Layer;
import io.github.skim4j.cuda.CudaSelection.Tokens;
import io.github.skim4j.cuda.SelectionPlan.Stages;
import io.github.skim4j.engine.kv.KvCacheConfig.KvType;
import io.github.skim4j.engine.model.ModelConfig;
import java.util.List;

/**
 * A layer's way from projected heads to attended ones: keys and values into the cache, then attention over it, with one kernel for rows
 * that are alone and one for chunks of prompts.
 */
final class CudaAttention {

    /** What there are kernels for. */
    static final List<Integer> HEAD_SIZES = List.of(64, 80, 96, 128);

    private static final String WHAT = "attention";
    private static final String REMEDY = "Lower scheduler.max-batch-size or scheduler.prefill-chunk";

    private static final int APPEND_HEADS = 8;
    private static final int APPEND_THREADS = 32 * APPEND_HEADS;

    /** Query heads that one block of the decode kernel serves. */
    static final int HEAD_TILE = 8;

    private static final int DECODE_THREADS = 192;

    /** Blocks of a sequence's decode attention for each multiprocessor: a choice that must not depend on the batch, or results would. */
    private static final int BLOCKS_PER_PROCESSOR = 2;

    /** Fewest tokens that are worth a block; where a sequence has many lists, these keep the GPU busy, and parts take time to merge. */
    private static final int PART_TOKENS = 192;

    private static final int PART_TOKENS_OF_MANY = 384;
    private static final int MANY_LISTS = 32;

    private static final int CHUNK_ROWS = 128;
    private static final int CHUNK_THREADS = 128;

    private final CudaDevice device;
    private final CudaStream stream;
    private final ModelConfig config;
    private final StepInputs inputs;
    private final String kvName;
    private final String variant;
    private final int headTiles;
    private final int splits;
    private final int partTokens;
    private final DeviceBuffer queries;
    private final DeviceBuffer partials;
    private final DeviceBuffer tickets;
    /** Entries that there is room for. */
    private final int capacity;
    /** [entry][2]: tokens and pages that lists of a step let attention read. */
    private final DeviceBuffer tally;

    private final int chunkSharedBytes;
    /** Rotated as if what sequences lost had never been; made when a sequence first has a gap. */
    private DeviceBuffer closedUpQueries;
    /** [row][head]: log2 of the sum of exp(logit); made when a step first observes. */
    private DeviceBuffer logSums;

    CudaAttention(CudaDevice device, ModelConfig config, KvType type, StepInputs inputs) {
        this.device = device;
        this.stream = device.stream();
        this.config = config;
        this.inputs = inputs;
        kvName = KvStorage.kernelName(type);
        variant = KvStorage.variant(type, config.headDim());
        headTiles = headTiles(config);
        int lists = config.kvHeads() * headTiles;
        // Sinks are a part of their own. No more parts than run at once: the last few would take as long as all others.
        splits = Math.max(2, BLOCKS_PER_PROCESSOR * device.multiprocessors() / lists);
        partTokens = lists < MANY_LISTS ? PART_TOKENS : PART_TOKENS_OF_MANY;
        queries = device.allocateCleared(queryBytes(), WHAT, REMEDY);
        capacity = Math.max(inputs.maxSequences(), Math.min(CudaSelection.MOST_ENTRIES, inputs.maxRows()));
        tally = device.allocateCleared(2L * inputs.maxRows() * Integer.BYTES, WHAT, REMEDY);
        long results = (long) capacity * lists;
        int partialFloats = HEAD_TILE * (config.headDim() + 2);
        partials = device.allocate(results * splits * partialFloats * Float.BYTES, WHAT, REMEDY);
        tickets = device.allocateCleared(results * Integer.BYTES, WHAT, REMEDY);
        chunkSharedBytes = device.constant("prefill_shared" + variant);
    }

    private long queryBytes() {
        return (long) inputs.maxRows() * queryColumns() * Float.BYTES;
    }

    /** Takes the memory that a step needs; not during a capture. */
    void prepare(Step step) {
        if (step.closesUp() && closedUpQueries == null) {
            closedUpQueries = device.allocateCleared(queryBytes(), WHAT, REMEDY);
        }
        if (step.observes() && logSums == null) {
            logSums = device.allocateCleared((long) inputs.maxRows() * config.heads() * Float.BYTES, WHAT, REMEDY);
        }
    }

    DeviceBuffer queries() {
        return queries;
    }

    /** Logarithms to base 2 of the sums of a step's exponentials, [row][heads], of the layer attended last, if the step observes. */
    DeviceBuffer logSums() {
        return logSums;
    }

    /** Tokens and pages, two ints for each entry, that {@link #runSelected} read since they were cleared, over layers and KV heads. */
    DeviceBuffer tally() {
        return tally;
    }

    /** Blocks that share a KV head's query heads. */
    static int headTiles(ModelConfig config) {
        return (config.group() + HEAD_TILE - 1) / HEAD_TILE;
    }

    /** Columns of a row of projected heads: queries, then keys, then values. */
    static int headColumns(ModelConfig config) {
        return (config.heads() + 2 * config.kvHeads()) * config.headDim();
    }

    /** Normalises and rotates the heads of {@code rows} tokens and writes keys and values to the cache. */
    void append(KvStorage cache, int index, Layer layer, DeviceBuffer heads, Step step, int rows) {
        Arguments arguments = new Arguments()
                .beginStruct()
                .address(heads)
                .integer(headColumns(config))
                .integer(config.heads())
                .integer(config.kvHeads())
                .integer(config.headDim())
                .address(layer.queryNorm())
                .address(layer.keyNorm())
                .real(config.rmsNormEps())
                .integer(config.rope().interleaved() ? 1 : 0)
                .address(inputs.frequencies())
                .integer(inputs.frequencyStride())
                .real(config.rope().attentionFactor())
                .address(inputs.positions())
                .address(inputs.slots())
                .address(inputs.sequences(0))
                .address(inputs.pageTables())
                .integer(inputs.tableStride())
                .address(cache.layer(index))
                .integer(cache.pageSize())
                .address(queries)
                .address(inputs.closedUpPositions())
                .address(step.closesUp() ? closedUpQueries : null)
                .endStruct();
        int blocks = (config.heads() + 2 * config.kvHeads() + APPEND_HEADS - 1) / APPEND_HEADS;
        device.kernel("append_" + kvName).launch(stream, rows, blocks, 1, APPEND_THREADS, 0, arguments);
    }

    /** Attends the first {@code entries} rows of a step one by one, over all of their pages, and then those of its chunks. */
    void run(KvStorage cache, int index, HalfRows out, Step step, int entries) {
        // More entries than there is room for are those of prompts whose tokens select.
        for (int from = 0; from < entries; from += capacity) {
            attendAll(cache, index, output(out, step, from), step, from, Math.min(capacity, entries - from));
        }
        if (step.chunks() > 0) {
            attendChunks(cache, index, out, step);
        }
    }

    /** Attends the lists that selection made for {@code count} entries from {@code from} on. */
    void runSelected(
            KvStorage cache,
            int index,
            HalfRows out,
            Step step,
            CudaSelection selection,
            Stages stages,
            int from,
            int count) {
        Arguments arguments =
                beginLists(cache, index, selection, stages, from, 0).address(selection.logWeights(stages));
        long tallies = tally.address() + 2L * from * Integer.BYTES;
        Lists lists = new Lists(kernel(stages), 0, tallies, 0, listParts(cache, stages), selection.tokens(stages, 0));
        attendEntries(arguments, index, output(out, step, from), step, from, count, lists);
    }

    /** Attends an entry once more over all of its pages; {@code row} of {@code out} and of {@code logSums} takes the result. */
    void runAgain(KvStorage cache, int index, Step step, int entry, HalfRows out, DeviceBuffer logSums, int row) {
        attendAll(cache, index, new Output(out, logSums, row), step, entry, 1);
    }

    /** Attends an entry once more over the list that selection made for it, but without its log weights. */
    void runSelectedAgain(
            KvStorage cache,
            int index,
            Step step,
            CudaSelection selection,
            Stages stages,
            int entry,
            HalfRows out,
            DeviceBuffer logSums,
            int row) {
        Arguments arguments =
                beginLists(cache, index, selection, stages, entry, entry).address(0);
        Lists lists = new Lists(kernel(stages), 0, 0, 0, listParts(cache, stages), selection.tokens(stages, entry));
        attendEntries(arguments, index, new Output(out, logSums, row), step, entry, 1, lists);
    }

    /**
     * Where the results of entries go.
     *
     * @param logSums logarithms to base 2 of the sums of exponentials, [row][heads]; {@code null} if they are not wanted
     * @param row of both, the first entry's
     */
    private record Output(HalfRows rows, DeviceBuffer logSums, int row) {}

    /**
     * What is attended.
     *
     * @param kernel that knows such lists
     * @param sequences of each entry, the row of its list; 0 if it is the entry's number
     * @param tallies what is read is counted there; 0 if it isn't
     * @param settled tokens at the end whose keys kernels may still be writing; 0 if they may be writing the list
     * @param parts that a list has at most
     */
    private record Lists(String kernel, long sequences, long tallies, int settled, int parts, Tokens tokens) {}

    private Output output(HalfRows out, Step step, int from) {
        return new Output(out, step.observes() ? logSums : null, from);
    }

    /** @param made which of the entries that selection made lists for at a time the first one is */
    private Arguments beginLists(
            KvStorage cache, int index, CudaSelection selection, Stages stages, int from, int made) {
        long list = (long) made * config.kvHeads();
        long page = list * selection.stride();
        DeviceBuffer masks = selection.masks(stages);
        return beginEntries(cache, index, from)
                .address(selection.pages().address() + page * Integer.BYTES)
                .integer(selection.stride())
                .integer(1)
                .address(selection.counts().address() + list * Integer.BYTES)
                .address(selection.first().address() + list * Integer.BYTES)
                .address(selection.last().address() + list * Integer.BYTES)
                .address(masks == null ? 0 : masks.address() + page * Long.BYTES);
    }

    private void attendAll(KvStorage cache, int index, Output output, Step step, int from, int count) {
        Arguments arguments = beginEntries(cache, index, from)
                .address(inputs.pageTables())
                .integer(inputs.tableStride())
                .integer(0)
                .address(inputs.counts(from))
                .address(inputs.first(from, windowed(index)))
                .address(inputs.last(from))
                .address(0)
                .address(0);
        // The step writes no keys but those of its own tokens.
        int settled = step.longestOfEntries();
        Lists lists = new Lists("attend", inputs.sequences(from), 0, settled, parts(step), Tokens.NONE);
        attendEntries(arguments, index, output, step, from, count, lists);
    }

    private static String kernel(Stages stages) {
        return stages.masks() ? "attend_masked" : stages.prunes() ? "attend_tokens" : "attend";
    }

    /**
     * Blocks for the parts of each entry that is attended over all of its pages: as many as the longest has, rounded up so that growing
     * sequences seldom need others. Blocks without a part cost time too.
     */
    int parts(Step step) {
        int sinks = step.closesUp() ? 1 : 0;
        int parts = sinks + Math.max(1, (step.mostSlotsOfEntries() + partTokens - 1) / partTokens);
        return Math.min(splits, DecodeGraph.bucket(parts));
    }

    /** The same for the lists of a selection. */
    private int listParts(KvStorage cache, Stages stages) {
        long tokens = (long) stages.mostPages() * cache.pageSize();
        return (int) Math.min(splits, (tokens + partTokens - 1) / partTokens);
    }

    private Arguments beginEntries(KvStorage cache, int index, int from) {
        return new Arguments()
                .beginStruct()
                .address(queries.address() + (long) from * queryColumns() * Float.BYTES)
                .integer(queryColumns())
                .address(cache.layer(index))
                .integer(cache.pageSize())
                .integer(config.kvHeads())
                .integer(config.group());
    }

    private void attendEntries(
            Arguments arguments, int index, Output output, Step step, int from, int count, Lists lists) {
        boolean closesUp = step.closesUp();
        arguments
                .address(0)
                .address(output.rows.buffer().address() + (long) output.row * output.rows.stride() * Short.BYTES)
                .integer(output.rows.stride())
                .real(scale())
                .address(partials)
                .address(tickets)
                .integer(splits)
                .integer(partTokens)
                .address(lists.sequences)
                .address(lists.tallies)
                .address(closesUp ? inputs.gaps(from, windowed(index)) : 0)
                .address(closesUp ? closedUpQueries.address() + (long) from * queryColumns() * Float.BYTES : 0)
                .address(
                        output.logSums == null
                                ? 0
                                : output.logSums.address() + (long) output.row * config.heads() * Float.BYTES)
                .integer(lists.settled)
                .address(lists.tokens.codes())
                .integer(lists.tokens.stride())
                .address(lists.tokens.counts())
                .endStruct();
        device.kernel(lists.kernel + variant)
                .launch(stream, lists.parts, config.kvHeads() * headTiles, count, DECODE_THREADS, 0, arguments);
    }

    private void attendChunks(KvStorage cache, int index, HalfRows out, Step step) {
        Arguments arguments = new Arguments()
                .beginStruct()
                .address(queries)
                .address(cache.layer(index))
                .address(inputs.pageTables())
                .address(inputs.chunkRows())
                .address(inputs.chunkCounts())
                .address(inputs.chunkPositions())
                .address(inputs.chunkSequences())
                .address(out.buffer())
                .integer(queryColumns())
                .integer(out.stride())
                .integer(inputs.tableStride())
                .integer(cache.pageSize())
                .integer(config.kvHeads())
                .integer(config.group())
                .integer(config.window(index))
                .real(scale())
                .address(step.observes() ? logSums : null)
                .endStruct();
        int tiles = (step.longestChunk() * config.group() + CHUNK_ROWS - 1) / CHUNK_ROWS;
        device.kernel("prefill" + variant)
                .withSharedMemory(chunkSharedBytes)
                .launch(stream, tiles, config.kvHeads(), step.chunks(), CHUNK_THREADS, chunkSharedBytes, arguments);
    }

    private boolean windowed(int index) {
        return config.window(index) != Integer.MAX_VALUE;
    }

    private int queryColumns() {
        return config.heads() * config.headDim();
    }

    private float scale() {
        return (float) (1 / Math.sqrt(config.headDim()));
    }
}
