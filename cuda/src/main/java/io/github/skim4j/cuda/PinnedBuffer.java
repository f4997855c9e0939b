package io.github.skim4j.cuda;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import jcuda.Pointer;
import jcuda.driver.JCudaDriver;

/** Host memory that the GPU copies from and to without help of the processor. */
final class PinnedBuffer implements AutoCloseable {

    private final Pointer pointer;
    private final ByteBuffer bytes;
    private boolean closed;

    /** The device's context must be current. */
    PinnedBuffer(long size) {
        pointer = new Pointer();
        int result = JCudaDriver.cuMemAllocHost(pointer, size);
        if (result != 0) {
            throw new CudaException(
                    "cuMemAllocHost failed: the host has no " + Driver.mebibytes(size) + " of memory to pin");
        }
        bytes = pointer.getByteBuffer(0, size).order(ByteOrder.nativeOrder());
    }

    Pointer pointer() {
        return pointer;
    }

    Pointer pointer(long offset) {
        return pointer.withByteOffset(offset);
    }

    ByteBuffer bytes() {
        return bytes;
    }

    /** Frees the memory; idempotent. After a failure of the device this fails too, and the end of the context frees it. */
    @Override
    public void close() {
        if (!closed) {
            closed = true;
            JCudaDriver.cuMemFreeHost(pointer);
        }
    }
}
