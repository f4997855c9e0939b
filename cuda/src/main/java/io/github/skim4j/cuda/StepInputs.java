package io.github.skim4j.cuda;

import io.github.skim4j.cuda.Step.LogitRow;
import io.github.skim4j.cuda.Step.Observed;
import io.github.skim4j.engine.attention.Tova;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.backend.TokenDraw;
import io.github.skim4j.engine.kv.KvSequence;
import io.github.skim4j.engine.model.ModelConfig;
import io.github.skim4j.engine.model.Rope;
import java.nio.DoubleBuffer;
import java.nio.IntBuffer;
import java.util.List;
import jcuda.driver.JCudaDriver;

/**
 * What the kernels of a step read besides weights and cache: numbers in one piece of pinned memory, which goes to the device in one
 * copy, to fixed addresses, so that a captured graph reads those of its step.
 */
final class StepInputs implements AutoCloseable {

    /** Numbers of a {@code skim::draw::Draw}. */
    private static final int DRAW_NUMBERS = 5;

    /** Numbers of a {@code skim::decode::Gap}. */
    private static final int GAP_NUMBERS = 3;

    /** Numbers of a {@code skim::evict::Observed}. */
    private static final int OBSERVED_NUMBERS = 5;

    /** Parts of the piece, in order; the page tables are the last, since only those of the step's sequences are copied. */
    private final int tokens;

    private final int positions;
    private final int slots;
    private final int sequences;
    private final int counts;
    private final int first;
    private final int windowFirst;
    private final int last;
    private final int closedUpPositions;
    private final int gaps;
    private final int windowGaps;
    private final int recorded;
    private final int firstVisible;
    private final int observed;
    private final int chunkRows;
    private final int chunkCounts;
    private final int chunkPositions;
    private final int chunkSequences;
    private final int logitRows;
    private final int draws;
    private final int pageTables;

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
    private final int frequencyBytes;
    private final int methodBytes;
    private final PinnedBuffer pinned;
    private final DeviceBuffer device;
    private final IntBuffer numbers;
    private final DoubleBuffer frequencies;

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
        int at = 0;
        tokens = at;
        positions = at += maxRows;
        slots = at += maxRows;
        sequences = at += maxRows;
        logitRows = at += maxRows;
        draws = at += maxRows;
        counts = at += maxRows * DRAW_NUMBERS;
        first = at += maxRows;
        windowFirst = at += maxRows;
        last = at += maxRows;
        closedUpPositions = at += maxRows;
        gaps = at += maxRows;
        windowGaps = at += maxRows * GAP_NUMBERS;
        recorded = at += maxRows * GAP_NUMBERS;
        firstVisible = at += maxRows;
        observed = at += maxRows;
        chunkRows = at += maxSequences * OBSERVED_NUMBERS;
        chunkCounts = at += maxSequences;
        chunkPositions = at += maxSequences;
        chunkSequences = at += maxSequences;
        pageTables = at += maxSequences;
        int all = Math.addExact(at, Math.multiplyExact(maxSequences, tableStride));
        // Frequencies that depend on the length come with each row.
        frequencyBytes = (rope.dependsOnLength() ? maxRows : 1) * headDim / 2 * Double.BYTES;
        methodBytes = maxIntervals * maxRows * RowMethod.BYTES;
        long bytes = frequencyBytes + methodBytes + (long) all * Integer.BYTES;
        pinned = new PinnedBuffer(bytes);
        device = cuda.allocateCleared(bytes, "page tables", "Lower context-length or scheduler.max-batch-size");
        frequencies = pinned.bytes()
                .slice(0, frequencyBytes)
                .order(pinned.bytes().order())
                .asDoubleBuffer();
        numbers = pinned.bytes()
                .slice(frequencyBytes + methodBytes, all * Integer.BYTES)
                .order(pinned.bytes().order())
                .asIntBuffer();
        frequencies.put(0, rope.frequencies(headDim, 0));
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
                numbers.put(closedUpPositions + row + i, position - sequence.gap());
                numbers.put(recorded + row + i, span.observation() != null ? 1 : 0);
                if (!isChunk) {
                    writeEntry(row + i, visible, VisibleSlots.of(span, i, window), sequence.gap() > 0);
                    numbers.put(firstVisible + row + i, sequence.isPacked() ? Math.max(0, position - window + 1) : 0);
                }
            }
            writeObserved(s, span, row);
            if (isChunk) {
                numbers.put(chunkRows + chunk, row);
                numbers.put(chunkCounts + chunk, span.count());
                numbers.put(chunkPositions + chunk, sequence.slots());
                numbers.put(chunkSequences + chunk, s);
                chunk++;
            }
            sequence.copyPages(numbers.slice(pageTables + s * tableStride, tableStride));
            row += span.count();
        }
        for (; row < rows; row++) {
            VisibleSlots itself = new VisibleSlots(0, 0, 0, 1, 1);
            writeRow(row, 0, 0, 0, row);
            writeEntry(row, itself, itself, false);
            numbers.put(closedUpPositions + row, 0);
            numbers.put(recorded + row, 0);
            numbers.put(firstVisible + row, 0);
            numbers.put(observed + row * OBSERVED_NUMBERS + 1, 0);
            numbers.put(pageTables + row * tableStride, sparePage);
        }
        writeMethods(step, plan, rows);
        for (int i = 0; i < wantedRows.size(); i++) {
            numbers.put(logitRows + i, wantedRows.get(i).row());
            writeDraw(draws + i * DRAW_NUMBERS, wantedRows.get(i).draw());
        }
    }

    private void writeMethods(Step step, SelectionPlan plan, int rows) {
        for (int i = 0; i < plan.intervals().size(); i++) {
            List<RowMethod> methods = plan.intervals().get(i).methods();
            for (int entry = 0; !methods.isEmpty() && entry < rows; entry++) {
                RowMethod method = entry < methods.size() ? methods.get(entry) : RowMethod.DENSE;
                int position = numbers.get(positions + entry);
                method.write(pinned.bytes(), frequencyBytes + (i * maxRows + entry) * RowMethod.BYTES, position);
            }
        }
    }

    private void writeRow(int row, int token, int position, int slot, int sequence) {
        if (token < 0 || token >= vocabSize) {
            throw new IllegalArgumentException("token " + token + " is outside the vocabulary of " + vocabSize);
        }
        numbers.put(tokens + row, token);
        numbers.put(positions + row, position);
        numbers.put(slots + row, slot);
        numbers.put(sequences + row, sequence);
        if (rope.dependsOnLength()) {
            frequencies.put(row * (headDim / 2), rope.frequencies(headDim, position + 1));
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
        numbers.put(counts + entry, (visible.last() - 1) / visible.pageSize() + 1);
        // Lists of a sequence with a gap have its sinks.
        numbers.put(first + entry, 0);
        numbers.put(windowFirst + entry, hasGap ? 0 : inWindow.first());
        numbers.put(last + entry, visible.last());
        writeGap(gaps + entry * GAP_NUMBERS, visible, hasGap);
        writeGap(windowGaps + entry * GAP_NUMBERS, inWindow, hasGap);
    }

    private void writeGap(int at, VisibleSlots visible, boolean hasGap) {
        numbers.put(at, visible.sinkFirst());
        numbers.put(at + 1, visible.sinkLast());
        numbers.put(at + 2, hasGap ? visible.first() : 0);
    }

    private void writeObserved(int index, Span span, int row) {
        Observed tokens = Observed.of(span);
        int at = observed + index * OBSERVED_NUMBERS;
        numbers.put(at, row + tokens.from());
        numbers.put(at + 1, tokens.count());
        numbers.put(at + 2, span.sequence().slots() + tokens.from());
        numbers.put(at + 3, span.sequence().length() + tokens.from());
        numbers.put(at + 4, tokens.count() > 0 && span.observation().method() instanceof Tova ? 1 : 0);
    }

    /** Queues the copy of what {@code count} sequences need. */
    void copy(int count, CudaStream stream) {
        long bytes = frequencyBytes + methodBytes + (pageTables + (long) count * tableStride) * Integer.BYTES;
        Driver.check(
                JCudaDriver.cuMemcpyHtoDAsync(device.pointer(), pinned.pointer(), bytes, stream), "cuMemcpyHtoDAsync");
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
        return rope.dependsOnLength() ? headDim / 2 : 0;
    }

    long frequencies() {
        return device.address();
    }

    long tokens() {
        return address(tokens);
    }

    long positions() {
        return address(positions);
    }

    long slots() {
        return address(slots);
    }

    /** The sequence of each row from {@code from} on. */
    long sequences(int from) {
        return address(sequences + from);
    }

    /** Pages of each entry's sequence. */
    long counts(int from) {
        return address(counts + from);
    }

    /** First slot that each entry reads. */
    long first(int from, boolean windowed) {
        return address((windowed ? windowFirst : first) + from);
    }

    /** Slot after the last that each entry reads. */
    long last(int from) {
        return address(last + from);
    }

    /** Position of each row's token without those that its sequence lost. */
    long closedUpPositions() {
        return address(closedUpPositions);
    }

    /** What each entry sees of a sequence that lost tokens between sinks and window. */
    long gaps(int from, boolean windowed) {
        return address((windowed ? windowGaps : gaps) + from * GAP_NUMBERS);
    }

    /** Whether each row's token has records. */
    long recorded() {
        return address(recorded);
    }

    /** Position of the first token that each entry of a packed sequence sees where there is a sliding window; 0 for others. */
    long firstVisible(int from) {
        return address(firstVisible + from);
    }

    /** Each sequence's tokens whose attention counts for eviction. */
    long observed() {
        return address(observed);
    }

    /** How each entry selects in an interval of layers. */
    long methods(int interval, int from) {
        return device.address() + frequencyBytes + (long) (interval * maxRows + from) * RowMethod.BYTES;
    }

    long chunkRows() {
        return address(chunkRows);
    }

    long chunkCounts() {
        return address(chunkCounts);
    }

    long chunkPositions() {
        return address(chunkPositions);
    }

    long chunkSequences() {
        return address(chunkSequences);
    }

    /** Rows whose logits are wanted, from the {@code from}th on. */
    long logitRows(int from) {
        return address(logitRows + from);
    }

    /** How the tokens of {@link #logitRows} are drawn. */
    long draws(int from) {
        return address(draws + from * DRAW_NUMBERS);
    }

    long pageTables() {
        return address(pageTables);
    }

    private long address(int number) {
        return device.address() + frequencyBytes + methodBytes + (long) number * Integer.BYTES;
    }

    @Override
    public void close() {
        pinned.close();
        device.close();
    }
}
