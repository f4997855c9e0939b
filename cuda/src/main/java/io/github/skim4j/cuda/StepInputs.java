package io.github.skim4j.cuda;

import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.kv.KvSequence;
import io.github.skim4j.engine.model.ModelConfig;
import io.github.skim4j.engine.model.Rope;
import java.nio.DoubleBuffer;
import java.nio.IntBuffer;
import java.util.List;
import jcuda.driver.CUstream;
import jcuda.driver.JCudaDriver;

/**
 * What the kernels of a step read besides weights and cache: numbers in one piece of pinned memory, which goes to the device in one
 * copy, to fixed addresses, so that a captured graph reads those of its step.
 */
final class StepInputs implements AutoCloseable {

    /** Parts of the piece, in order; the page tables are the last, since only those of the step's sequences are copied. */
    private final int tokens;

    private final int positions;
    private final int slots;
    private final int sequences;
    private final int counts;
    private final int first;
    private final int windowFirst;
    private final int last;
    private final int chunkRows;
    private final int chunkCounts;
    private final int chunkPositions;
    private final int chunkSequences;
    private final int logitRows;
    private final int pageTables;

    private final Rope rope;
    private final int headDim;
    private final int window;
    private final int maxRows;
    private final int maxSequences;
    private final int tableStride;
    private final long frequencyBytes;
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
        this.rope = config.rope();
        this.headDim = config.headDim();
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
        counts = at += maxRows;
        first = at += maxSequences;
        windowFirst = at += maxSequences;
        last = at += maxSequences;
        chunkRows = at += maxSequences;
        chunkCounts = at += maxSequences;
        chunkPositions = at += maxSequences;
        chunkSequences = at += maxSequences;
        pageTables = at += maxSequences;
        int all = Math.addExact(at, Math.multiplyExact(maxSequences, tableStride));
        // Frequencies that depend on the length come with each row.
        frequencyBytes = (long) (rope.dependsOnLength() ? maxRows : 1) * headDim / 2 * Double.BYTES;
        long bytes = frequencyBytes + (long) all * Integer.BYTES;
        pinned = new PinnedBuffer(bytes);
        device = cuda.allocateCleared(bytes, "page tables", "Lower context-length or scheduler.max-batch-size");
        frequencies = pinned.bytes()
                .slice(0, Math.toIntExact(frequencyBytes))
                .order(pinned.bytes().order())
                .asDoubleBuffer();
        numbers = pinned.bytes()
                .slice(Math.toIntExact(frequencyBytes), all * Integer.BYTES)
                .order(pinned.bytes().order())
                .asIntBuffer();
        frequencies.put(0, rope.frequencies(headDim, 0));
    }

    /**
     * Writes a step, padded with rows of one token that attend to themselves on {@code sparePage}.
     *
     * @param rows of the step and padding
     */
    void write(Step step, int rows, int sparePage, List<Integer> wantedRows) {
        int row = 0;
        for (int s = 0; s < step.spans().size(); s++) {
            Span span = step.spans().get(s);
            KvSequence sequence = span.sequence();
            for (int i = 0; i < span.count(); i++) {
                writeRow(row + i, span.tokens()[span.from() + i], sequence.length() + i, sequence.slots() + i, s);
            }
            int length = sequence.slots() + span.count();
            if (s < step.singles()) {
                writeSingle(s, length, sequence.pageSize());
            } else {
                int chunk = s - step.singles();
                numbers.put(chunkRows + chunk, row);
                numbers.put(chunkCounts + chunk, span.count());
                numbers.put(chunkPositions + chunk, sequence.slots());
                numbers.put(chunkSequences + chunk, s);
            }
            sequence.copyPages(numbers.slice(pageTables + s * tableStride, tableStride));
            row += span.count();
        }
        for (; row < rows; row++) {
            writeRow(row, 0, 0, 0, row);
            writeSingle(row, 1, 1);
            numbers.put(pageTables + row * tableStride, sparePage);
        }
        for (int i = 0; i < wantedRows.size(); i++) {
            numbers.put(logitRows + i, wantedRows.get(i));
        }
    }

    private void writeRow(int row, int token, int position, int slot, int sequence) {
        numbers.put(tokens + row, token);
        numbers.put(positions + row, position);
        numbers.put(slots + row, slot);
        numbers.put(sequences + row, sequence);
        if (rope.dependsOnLength()) {
            frequencies.put(row * (headDim / 2), rope.frequencies(headDim, position + 1));
        }
    }

    private void writeSingle(int index, int length, int pageSize) {
        numbers.put(counts + index, (length + pageSize - 1) / pageSize);
        numbers.put(first + index, 0);
        numbers.put(windowFirst + index, Math.max(0, length - window));
        numbers.put(last + index, length);
    }

    /** Queues the copy of what {@code count} sequences need. */
    void copy(int count, CUstream stream) {
        long bytes = frequencyBytes + (pageTables + (long) count * tableStride) * Integer.BYTES;
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

    long sequences() {
        return address(sequences);
    }

    /** Pages of each single token's sequence. */
    long counts() {
        return address(counts);
    }

    /** First slot that each single token reads. */
    long first(boolean windowed) {
        return address(windowed ? windowFirst : first);
    }

    /** Slot after the last that each single token reads. */
    long last() {
        return address(last);
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

    long pageTables() {
        return address(pageTables);
    }

    private long address(int number) {
        return device.address() + frequencyBytes + (long) number * Integer.BYTES;
    }

    @Override
    public void close() {
        pinned.close();
        device.close();
    }
}
