package io.github.skim4j.cuda;

import jcuda.driver.CUstream;
import jcuda.driver.CUstream_flags;
import jcuda.driver.JCudaDriver;

/** A queue of work on the current device. */
final class CudaStream extends CUstream implements AutoCloseable {

    CudaStream() {
        Driver.check(JCudaDriver.cuStreamCreate(this, CUstream_flags.CU_STREAM_NON_BLOCKING), "cuStreamCreate");
    }

    long handle() {
        return getNativePointer();
    }

    void synchronize() {
        Driver.check(JCudaDriver.cuStreamSynchronize(this), "cuStreamSynchronize");
    }

    @Override
    public void close() {
        JCudaDriver.cuStreamDestroy(this);
    }
}
