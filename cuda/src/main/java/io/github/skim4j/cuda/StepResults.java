package io.github.skim4j.cuda;

import java.nio.ByteBuffer;
import jcuda.driver.JCudaDriver;

/** What a step sends to the host: drawn tokens, counts of what lists let attention read, and logits where they are wanted. */
final class StepResults implements AutoCloseable {

    private static final int COUNTS_OFFSET = CudaTransformer.LOGIT_ROWS * Integer.BYTES;

    private final CudaStream stream;
    private final int vocabSize;
    private final int logitsOffset;
    private final PinnedBuffer pinned;

    /** @param maxRows tokens of a step */
    StepResults(CudaDevice device, int maxRows, int vocabSize) {
        this.stream = device.stream();
        this.vocabSize = vocabSize;
        logitsOffset = COUNTS_OFFSET + Math.toIntExact(countBytes(maxRows));
        pinned = new PinnedBuffer(logitsOffset + logitBytes(CudaTransformer.LOGIT_ROWS));
    }

    private static long countBytes(int rows) {
        return 2L * rows * Integer.BYTES;
    }

    private long logitBytes(int rows) {
        return (long) rows * vocabSize * Float.BYTES;
    }

    /** Queues clearing the counts, two for each row. */
    void clearCounts(DeviceBuffer counts, int rows) {
        Driver.check(
                JCudaDriver.cuMemsetD8Async(counts.pointer(), (byte) 0, countBytes(rows), stream), "cuMemsetD8Async");
    }

    void copyCounts(DeviceBuffer counts, int rows) {
        copy(counts, COUNTS_OFFSET, countBytes(rows));
    }

    void copyDrawn(DeviceBuffer drawn, int rows) {
        copy(drawn, 0, (long) rows * Integer.BYTES);
    }

    void copyLogits(DeviceBuffer logits, int rows) {
        copy(logits, logitsOffset, logitBytes(rows));
    }

    private void copy(DeviceBuffer source, int offset, long bytes) {
        Driver.check(
                JCudaDriver.cuMemcpyDtoHAsync(pinned.pointer(offset), source.pointer(), bytes, stream),
                "cuMemcpyDtoHAsync");
    }

    /** The token drawn for a row, once the copy has ended; -1 if none of its logits is finite. */
    int drawn(int row) {
        return pinned.bytes().getInt(row * Integer.BYTES);
    }

    /** Tokens that a row's lists let attention read, over layers and KV heads. */
    long tokens(int row) {
        return count(2 * row);
    }

    /** Pages on which these lie. */
    long pages(int row) {
        return count(2 * row + 1);
    }

    private long count(int index) {
        return Integer.toUnsignedLong(pinned.bytes().getInt(COUNTS_OFFSET + index * Integer.BYTES));
    }

    float[] logits(int row) {
        float[] logits = new float[vocabSize];
        ByteBuffer bytes = pinned.bytes();
        bytes.slice(logitsOffset + row * vocabSize * Float.BYTES, vocabSize * Float.BYTES)
                .order(bytes.order())
                .asFloatBuffer()
                .get(logits);
        return logits;
    }

    @Override
    public void close() {
        pinned.close();
    }
}
