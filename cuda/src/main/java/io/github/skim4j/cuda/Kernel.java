package io.github.skim4j.cuda;

import jcuda.driver.CUfunction_attribute;
import jcuda.driver.JCudaDriver;

/**
 * A function of the GPU.
 *
 * @param overlapped how it is launched; {@code null} launches it when the kernel before has ended
 */
record Kernel(String name, CudaFunction function, OverlappedLaunch overlapped) {

    private static final int DEFAULT_SHARED_BYTES = 48 << 10;

    /** Lets blocks take {@code bytes} of dynamic shared memory, which more than 48 KiB need to be asked for. */
    Kernel withSharedMemory(int bytes) {
        if (bytes > DEFAULT_SHARED_BYTES) {
            Driver.check(
                    JCudaDriver.cuFuncSetAttribute(
                            function, CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, bytes),
                    "cuFuncSetAttribute of " + name);
        }
        return this;
    }

    /**
     * Queues a launch.
     *
     * @param threads in a block
     * @param sharedBytes dynamic shared memory of a block
     */
    void launch(CudaStream stream, int gridX, int gridY, int gridZ, int threads, int sharedBytes, Arguments arguments) {
        int result = overlapped == null
                ? JCudaDriver.cuLaunchKernel(
                        function, gridX, gridY, gridZ, threads, 1, 1, sharedBytes, stream, arguments.pointers(), null)
                : overlapped.launch(function, stream, gridX, gridY, gridZ, threads, sharedBytes, arguments);
        Driver.check(result, "launch of " + name);
    }
}
