package io.github.skim4j.cuda;

import jcuda.driver.CUfunction;
import jcuda.driver.CUmodule;
import jcuda.driver.JCudaDriver;

/** A kernel's code. */
final class CudaFunction extends CUfunction {

    CudaFunction(CUmodule module, String name) {
        Driver.check(JCudaDriver.cuModuleGetFunction(this, module, name), "cuModuleGetFunction of " + name);
    }

    long handle() {
        return getNativePointer();
    }
}
