package io.github.skim4j.cuda;

import jcuda.driver.CUdeviceptr;
import jcuda.driver.JCudaDriver;

/** A piece of a device's memory. Its {@link CudaDevice} frees what is left when it closes. */
final class DeviceBuffer implements AutoCloseable {

    /** Makes the address known, which kernels take as a number. */
    private static final class Pointer extends CUdeviceptr {

        long address() {
            return getNativePointer() + getByteOffset();
        }
    }

    private final CudaDevice device;
    private final Pointer pointer;
    private final long bytes;

    private DeviceBuffer(CudaDevice device, Pointer pointer, long bytes) {
        this.device = device;
        this.pointer = pointer;
        this.bytes = bytes;
    }

    /** The driver's result is in {@code result[0]}; without success there is no buffer. */
    static DeviceBuffer allocate(CudaDevice device, long bytes, int[] result) {
        Pointer pointer = new Pointer();
        result[0] = JCudaDriver.cuMemAlloc(pointer, bytes);
        return result[0] == 0 ? new DeviceBuffer(device, pointer, bytes) : null;
    }

    long address() {
        return pointer.address();
    }

    long bytes() {
        return bytes;
    }

    CUdeviceptr pointer() {
        return pointer;
    }

    CUdeviceptr pointer(long offset) {
        return pointer.withByteOffset(offset);
    }

    /** Frees the memory; idempotent. After a failure of the device this fails too, and the end of the context frees it. */
    @Override
    public void close() {
        if (device.forget(this)) {
            JCudaDriver.cuMemFree(pointer);
        }
    }
}
