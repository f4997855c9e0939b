package io.github.skim4j.cuda;

import io.github.skim4j.cuda.Step.LogitRow;
import io.github.skim4j.cuda.Step.Observed;
import io.github.skim4j.engine.attention.Tova;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.backend.TokenDraw;
import io.github.skim4j.engine.kv.KvSequence;
import io.github.skim4j.engine.model.ModelConfig;
import io.github.skim4j.engine.model.Rope;
import java.nio.ByteBuffer;
import java.nio.DoubleBuffer;
import java.nio.IntBuffer;
import java.util.List;
import jcuda.driver.JCudaDriver;

/**
 * What the kernels of a step read besides weights and cache: numbers in one piece of pinned memory, which goes to the device in one
 * copy, to fixed addresses, so that a captured graph reads those of its step. The addresses are those of the step written last.
 */
final class StepInputs implements AutoCloseable {

    /** Numbers of a {@code skim::draw::Draw}. */
    private static final int DRAW_NUMBERS = 5;

    /** Numbers of a {@code skim::decode::Gap}. */
    private static final int GAP_NUMBERS = 3;

    /** Numbers of a {@code skim::evict::Observed}. */
    private static final int OBSERVED_NUMBERS = 5;

    /** Intervals of layers that a step's plan may have. */
    static final int MOST_INTERVALS = 4;

    private final Rope rope;
    private final int headDim;
    private final int vocabSize;
    private final int window;
    private final int maxRows;
    private final int maxSequences;
    private final int tableStride;
    private final int maxIntervals;
    private final int frequencyStride;
    private final Layout any;
    /** For steps of few rows, which copy little then. */
    private final Layout few;

    private final PinnedBuffer pinned;
    private final DeviceBuffer device;
    private final ByteBuffer bytes;
    private final IntBuffer numbers;
    private final DoubleBuffer frequencies;
    /** Of the step that was written last. */
    private Layout layout;

    /** Where the parts of the piece are, in ints; the page tables are the last, since only those of the step's sequences are copied. */
    private static final class Layout {

        final int rows;
        final int methods;
        final int tokens;
        final int positions;
        final int slots;
        final int sequences;
        final int logitRows;
        final int draws;
        final int counts;
        final int first;
        final int windowFirst;
        final int last;
        final int closedUpPositions;
        final int gaps;
        final int windowGaps;
        final int recorded;
        final int firstVisible;
        final int observed;
        final int chunkRows;
        final int chunkCounts;
        final int chunkPositions;
        final int chunkSequences;
        final int pageTables;
        private int end;

        /** @param frequencyRows that come with frequencies of their own */
        Layout(int rows, int sequenceCount, int intervals, int frequencyRows, int frequencyStride) {
            this.rows = rows;
            take(frequencyRows * frequencyStride * (Double.BYTES / Integer.BYTES));
            methods = take(intervals * rows * (RowMethod.BYTES / Integer.BYTES));
            tokens = take(rows);
            positions = take(rows);
            slots = take(rows);
            sequences = take(rows);
            logitRows = take(rows);
            draws = take(rows * DRAW_NUMBERS);
            counts = take(rows);
            first = take(rows);
            windowFirst = take(rows);
            last = take(rows);
            closedUpPositions = take(rows);
            gaps = take(rows * GAP_NUMBERS);
            windowGaps = take(rows * GAP_NUMBERS);
            recorded = take(rows);
            firstVisible = take(rows);
            observed = take(rows * OBSERVED_NUMBERS);
            chunkRows = take(sequenceCount);
            chunkCounts = take(sequenceCount);
            chunkPositions = take(sequenceCount);
            chunkSequences = take(sequenceCount);
            pageTables = end;
        }

        private int take(int count) {
            int at = end;
            end += count;
            return at;
        }
    }

    /**
     * @param maxRows most tokens of a step
     * @param maxSequences most spans of a step
     * @param tableStride most pages of a sequence
     */
    StepInputs(CudaDevice cuda, ModelConfig config, int maxRows, int maxSequences, int tableStride) {
        maxIntervals = Math.min(MOST_INTERVALS, config.layers());
        this.rope = config.rope();
        this.headDim = config.headDim();
        this.vocabSize = config.vocabSize();
        this.window = config.slidingWindow() > 0 ? config.slidingWindow() : Integer.MAX_VALUE;
        this.maxRows = maxRows;
        this.maxSequences = maxSequences;
        this.tableStride = tableStride;
        frequencyStride = headDim / 2;
        any = layout(maxRows);
        few = layout(Math.min(maxRows, CudaTransformer.LOGIT_ROWS));
        layout = any;
        int all = Math.addExact(any.pageTables, Math.multiplyExact(maxSequences, tableStride));
        long size = (long) all * Integer.BYTES;
        pinned = new PinnedBuffer(size);
        device = cuda.allocateCleared(size, "page tables", "Lower context-length or scheduler.max-batch-size");
        bytes = pinned.bytes();
        numbers = bytes.slice(0, all * Integer.BYTES).order(bytes.order()).asIntBuffer();
        frequencies =
                bytes.slice(0, any.methods * Integer.BYTES).order(bytes.order()).asDoubleBuffer();
        frequencies.put(0, rope.frequencies(headDim, 0));
    }

    private Layout layout(int rows) {
        // Frequencies that depend on the length come with each row.
        int frequencyRows = rope.dependsOnLength() ? rows : 1;
        return new Layout(rows, Math.min(rows, maxSequences), maxIntervals, frequencyRows, frequencyStride);
    }

    /** Whether a step's plan is one that {@link #write} takes. */
    boolean fits(SelectionPlan plan) {
        return plan.intervals().size() <= maxIntervals;
    }

    /**
     * Writes a step, padded with rows of one token that attend to themselves on {@code sparePage}.
     *
     * @param rows of the step and padding
     */
    void write(Step step, SelectionPlan plan, int rows, int sparePage, List<LogitRow> wantedRows) {
        layout = rows <= few.rows ? few : any;
        int row = 0;
        int chunk = 0;
        for (int s = 0; s < step.spans().size(); s++) {
            Span span = step.spans().get(s);
            KvSequence sequence = span.sequence();
            boolean isChunk = Step.isChunk(span);
            for (int i = 0; i < span.count(); i++) {
                VisibleSlots visible = VisibleSlots.of(span, i, Integer.MAX_VALUE);
                int position = sequence.length() + i;
                writeRow(row + i, span.tokens()[span.from() + i], position, visible.last() - 1, s);
                numbers.put(layout.closedUpPositions + row + i, position - sequence.gap());
                numbers.put(layout.recorded + row + i, span.observation() != null ? 1 : 0);
                if (!isChunk) {
                    writeEntry(row + i, visible, VisibleSlots.of(span, i, window), sequence.gap() > 0);
                    numbers.put(
                            layout.firstVisible + row + i,
                            sequence.isPacked() ? Math.max(0, position - window + 1) : 0);
                }
            }
            writeObserved(s, span, row);
            if (isChunk) {
                numbers.put(layout.chunkRows + chunk, row);
                numbers.put(layout.chunkCounts + chunk, span.count());
                numbers.put(layout.chunkPositions + chunk, sequence.slots());
                numbers.put(layout.chunkSequences + chunk, s);
                chunk++;
            }
            sequence.copyPages(numbers.slice(layout.pageTables + s * tableStride, tableStride));
            row += span.count();
        }
        for (; row < rows; row++) {
            VisibleSlots itself = new VisibleSlots(0, 0, 0, 1, 1);
            writeRow(row, 0, 0, 0, row);
            writeEntry(row, itself, itself, false);
            numbers.put(layout.closedUpPositions + row, 0);
            numbers.put(layout.recorded + row, 0);
            numbers.put(layout.firstVisible + row, 0);
            numbers.put(layout.observed + row * OBSERVED_NUMBERS + 1, 0);
            numbers.put(layout.pageTables + row * tableStride, sparePage);
        }
        writeMethods(step, plan, rows);
        for (int i = 0; i < wantedRows.size(); i++) {
            numbers.put(layout.logitRows + i, wantedRows.get(i).row());
            writeDraw(layout.draws + i * DRAW_NUMBERS, wantedRows.get(i).draw());
        }
    }

    private void writeMethods(Step step, SelectionPlan plan, int rows) {
        for (int i = 0; i < plan.intervals().size(); i++) {
            List<RowMethod> methods = plan.intervals().get(i).methods();
            for (int entry = 0; !methods.isEmpty() && entry < rows; entry++) {
                RowMethod method = entry < methods.size() ? methods.get(entry) : RowMethod.DENSE;
                int position = numbers.get(layout.positions + entry);
                method.write(
                        bytes, layout.methods * Integer.BYTES + (i * layout.rows + entry) * RowMethod.BYTES, position);
            }
        }
    }

    private void writeRow(int row, int token, int position, int slot, int sequence) {
        if (token < 0 || token >= vocabSize) {
            throw new IllegalArgumentException("token " + token + " is outside the vocabulary of " + vocabSize);
        }
        numbers.put(layout.tokens + row, token);
        numbers.put(layout.positions + row, position);
        numbers.put(layout.slots + row, slot);
        numbers.put(layout.sequences + row, sequence);
        if (rope.dependsOnLength()) {
            frequencies.put(row * frequencyStride, rope.frequencies(headDim, position + 1));
        }
    }

    private void writeDraw(int at, TokenDraw draw) {
        double perLog2 = draw.temperature() == 0 ? 0 : 1 / (Math.log(2) * draw.temperature());
        numbers.put(at, Float.floatToRawIntBits((float) Math.min(perLog2, Float.MAX_VALUE)));
        numbers.put(at + 1, draw.topK());
        numbers.put(at + 2, Float.floatToRawIntBits((float) draw.topP()));
        numbers.put(at + 3, Float.floatToRawIntBits((float) draw.minP()));
        numbers.put(at + 4, (int) (long) (draw.uniform() * 0x1p32));
    }

    /** @param inWindow what is visible in layers with a sliding window */
    private void writeEntry(int entry, VisibleSlots visible, VisibleSlots inWindow, boolean hasGap) {
        numbers.put(layout.counts + entry, (visible.last() - 1) / visible.pageSize() + 1);
        // Lists of a sequence with a gap have its sinks.
        numbers.put(layout.first + entry, 0);
        numbers.put(layout.windowFirst + entry, hasGap ? 0 : inWindow.first());
        numbers.put(layout.last + entry, visible.last());
        writeGap(layout.gaps + entry * GAP_NUMBERS, visible, hasGap);
        writeGap(layout.windowGaps + entry * GAP_NUMBERS, inWindow, hasGap);
    }

    private void writeGap(int at, VisibleSlots visible, boolean hasGap) {
        numbers.put(at, visible.sinkFirst());
        numbers.put(at + 1, visible.sinkLast());
        numbers.put(at + 2, hasGap ? visible.first() : 0);
    }

    private void writeObserved(int index, Span span, int row) {
        Observed tokens = Observed.of(span);
        int at = layout.observed + index * OBSERVED_NUMBERS;
        numbers.put(at, row + tokens.from());
        numbers.put(at + 1, tokens.count());
        numbers.put(at + 2, span.sequence().slots() + tokens.from());
        numbers.put(at + 3, span.sequence().length() + tokens.from());
        numbers.put(at + 4, tokens.count() > 0 && span.observation().method() instanceof Tova ? 1 : 0);
    }

    /** Queues the copy of what {@code count} sequences need. */
    void copy(int count, CudaStream stream) {
        long size = (layout.pageTables + (long) count * tableStride) * Integer.BYTES;
        Driver.check(
                JCudaDriver.cuMemcpyHtoDAsync(device.pointer(), pinned.pointer(), size, stream), "cuMemcpyHtoDAsync");
    }

    int maxRows() {
        return maxRows;
    }

    int maxSequences() {
        return maxSequences;
    }

    int tableStride() {
        return tableStride;
    }

    /** Numbers between the frequencies of two rows: 0 if all have the same. */
    int frequencyStride() {
        return rope.dependsOnLength() ? frequencyStride : 0;
    }

    long frequencies() {
        return device.address();
    }

    long tokens() {
        return address(layout.tokens);
    }

    long positions() {
        return address(layout.positions);
    }

    long slots() {
        return address(layout.slots);
    }

    /** The sequence of each row from {@code from} on. */
    long sequences(int from) {
        return address(layout.sequences + from);
    }

    /** Pages of each entry's sequence. */
    long counts(int from) {
        return address(layout.counts + from);
    }

    /** First slot that each entry reads. */
    long first(int from, boolean windowed) {
        return address((windowed ? layout.windowFirst : layout.first) + from);
    }

    /** Slot after the last that each entry reads. */
    long last(int from) {
        return address(layout.last + from);
    }

    /** Position of each row's token without those that its sequence lost. */
    long closedUpPositions() {
        return address(layout.closedUpPositions);
    }

    /** What each entry sees of a sequence that lost tokens between sinks and window. */
    long gaps(int from, boolean windowed) {
        return address((windowed ? layout.windowGaps : layout.gaps) + from * GAP_NUMBERS);
    }

    /** Whether each row's token has records. */
    long recorded() {
        return address(layout.recorded);
    }

    /** Position of the first token that each entry of a packed sequence sees where there is a sliding window; 0 for others. */
    long firstVisible(int from) {
        return address(layout.firstVisible + from);
    }

    /** Each sequence's tokens whose attention counts for eviction. */
    long observed() {
        return address(layout.observed);
    }

    /** How each entry selects in an interval of layers. */
    long methods(int interval, int from) {
        return address(layout.methods) + (long) (interval * layout.rows + from) * RowMethod.BYTES;
    }

    long chunkRows() {
        return address(layout.chunkRows);
    }

    long chunkCounts() {
        return address(layout.chunkCounts);
    }

    long chunkPositions() {
        return address(layout.chunkPositions);
    }

    long chunkSequences() {
        return address(layout.chunkSequences);
    }

    /** Rows whose logits are wanted, from the {@code from}th on. */
    long logitRows(int from) {
        return address(layout.logitRows + from);
    }

    /** How the tokens of {@link #logitRows} are drawn. */
    long draws(int from) {
        return address(layout.draws + from * DRAW_NUMBERS);
    }

    long pageTables() {
        return address(layout.pageTables);
    }

    private long address(int number) {
        return device.address() + (long) number * Integer.BYTES;
    }

    @Override
    public void close() {
        pinned.close();
        device.close();
    }
}
