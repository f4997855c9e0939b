package io.github.skim4j.cuda;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.util.Collections;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import jcuda.Pointer;
import jcuda.driver.CUcontext;
import jcuda.driver.CUctx_flags;
import jcuda.driver.CUdevice;
import jcuda.driver.CUdevice_attribute;
import jcuda.driver.CUdeviceptr;
import jcuda.driver.CUmodule;
import jcuda.driver.CUresult;
import jcuda.driver.JCudaDriver;

/**
 * One GPU: a context of its own, the kernels, a stream, and all memory that was taken there. A thread must make the context {@link
 * #current} before it uses the device.
 */
final class CudaDevice implements AutoCloseable {

    private static final String KERNELS = "skim.fatbin";

    /** Of what its clock and width make, as measured on an H200. */
    private static final double BANDWIDTH_SHARE = 0.88;

    private final CUcontext context = new CUcontext();
    private final CUmodule module = new CUmodule();
    /** The driver reads a kernel when it is first asked for, so these stay as long as the module. */
    private final ByteBuffer kernels = readKernels();

    private final CudaStream stream;
    private final OverlappedLaunch overlappedLaunch;
    private final String name;
    private final int multiprocessors;
    private final int capability;
    private final double bandwidth;
    private final Map<String, CudaFunction> functions = new HashMap<>();
    private final Set<DeviceBuffer> buffers =
            Collections.synchronizedSet(Collections.newSetFromMap(new IdentityHashMap<>()));
    private boolean closed;

    /**
     * @throws CudaException naming the call that failed
     */
    CudaDevice(int ordinal) {
        String unavailable = Driver.unavailable(ordinal);
        if (unavailable != null) {
            throw new CudaException("GPU " + ordinal + " can't be used: " + unavailable);
        }
        CUdevice device = new CUdevice();
        Driver.check(JCudaDriver.cuDeviceGet(device, ordinal), "cuDeviceGet");
        name = Driver.name(device);
        multiprocessors = Driver.attribute(device, CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
        capability = Driver.capability(device);
        bandwidth = BANDWIDTH_SHARE
                * 2e3
                * Driver.attribute(device, CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE)
                * Driver.attribute(device, CUdevice_attribute.CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH)
                / Byte.SIZE;
        overlappedLaunch = OverlappedLaunch.of(capability);
        Driver.check(JCudaDriver.cuCtxCreate(context, CUctx_flags.CU_CTX_SCHED_SPIN, device), "cuCtxCreate");
        try {
            stream = new CudaStream();
            Driver.check(
                    JCudaDriver.cuModuleLoadDataEx(module, Pointer.to(kernels), 0, new int[0], Pointer.to(new int[0])),
                    "cuModuleLoadDataEx");
        } catch (RuntimeException | Error e) {
            close();
            throw e;
        }
    }

    private static ByteBuffer readKernels() {
        try (InputStream in = CudaDevice.class.getResourceAsStream(KERNELS)) {
            if (in == null) {
                throw new CudaException("The jar has no " + KERNELS + ": it was not built completely");
            }
            byte[] bytes = in.readAllBytes();
            return ByteBuffer.allocateDirect(bytes.length).put(bytes).rewind();
        } catch (IOException e) {
            throw new UncheckedIOException("can't read " + KERNELS, e);
        }
    }

    String name() {
        return name;
    }

    int multiprocessors() {
        return multiprocessors;
    }

    /** Major version times 10 plus minor version. */
    int capability() {
        return capability;
    }

    /** About what reading delivers, in bytes a second. */
    double bandwidth() {
        return bandwidth;
    }

    CudaStream stream() {
        return stream;
    }

    /** Lets the calling thread use the device. */
    void current() {
        Driver.check(JCudaDriver.cuCtxSetCurrent(context), "cuCtxSetCurrent");
    }

    /** Lets the calling thread free what it has of the device, even if the device failed. */
    void tryCurrent() {
        JCudaDriver.cuCtxSetCurrent(context);
    }

    /** A kernel; its dynamic shared memory may take all that a block can get. */
    synchronized Kernel kernel(String kernel) {
        CudaFunction function = functions.computeIfAbsent(kernel, key -> new CudaFunction(module, key));
        return new Kernel(kernel, function, overlappedLaunch);
    }

    /** The value of an int that the kernels declare for their launches. */
    int constant(String name) {
        CUdeviceptr address = new CUdeviceptr();
        Driver.check(JCudaDriver.cuModuleGetGlobal(address, new long[1], module, name), "cuModuleGetGlobal of " + name);
        int[] value = {0};
        Driver.check(JCudaDriver.cuMemcpyDtoH(Pointer.to(value), address, Integer.BYTES), "cuMemcpyDtoH");
        return value[0];
    }

    /**
     * Takes device memory, not cleared.
     *
     * @param what for messages, such as {@code the KV cache}
     * @param remedy what a user can do if there is not enough
     * @throws io.github.skim4j.engine.backend.DeviceMemoryException if there is not enough
     */
    DeviceBuffer allocate(long bytes, String what, String remedy) {
        int[] result = {0};
        DeviceBuffer buffer = DeviceBuffer.allocate(this, Math.max(bytes, 1), result);
        if (result[0] == CUresult.CUDA_ERROR_OUT_OF_MEMORY) {
            throw Driver.outOfMemory(bytes, what, remedy);
        }
        Driver.check(result[0], "cuMemAlloc of " + Driver.mebibytes(bytes) + " for " + what);
        buffers.add(buffer);
        return buffer;
    }

    /** Takes device memory of zeros. */
    DeviceBuffer allocateCleared(long bytes, String what, String remedy) {
        DeviceBuffer buffer = allocate(bytes, what, remedy);
        Driver.check(JCudaDriver.cuMemsetD8(buffer.pointer(), (byte) 0, buffer.bytes()), "cuMemsetD8");
        // Other streams don't wait for the default one.
        Driver.check(JCudaDriver.cuCtxSynchronize(), "cuCtxSynchronize");
        return buffer;
    }

    /** Fills a buffer and returns it. */
    DeviceBuffer upload(float[] values, DeviceBuffer target) {
        Driver.check(
                JCudaDriver.cuMemcpyHtoD(target.pointer(), Pointer.to(values), (long) values.length * Float.BYTES),
                "cuMemcpyHtoD");
        return target;
    }

    /** Whether the buffer was not freed yet. */
    boolean forget(DeviceBuffer buffer) {
        return buffers.remove(buffer);
    }

    long freeMemory() {
        long[] free = {0};
        long[] total = {0};
        Driver.check(JCudaDriver.cuMemGetInfo(free, total), "cuMemGetInfo");
        return free[0];
    }

    void synchronize() {
        stream.synchronize();
    }

    /**
     * Frees all memory, kernels and the context; idempotent. Works after a failure of the device too, when every call fails and only
     * the context's end matters.
     */
    @Override
    public void close() {
        if (closed) {
            return;
        }
        closed = true;
        tryCurrent();
        for (DeviceBuffer buffer : List.copyOf(buffers)) {
            JCudaDriver.cuMemFree(buffer.pointer());
        }
        buffers.clear();
        JCudaDriver.cuCtxDestroy(context);
    }
}
