package io.github.skim4j.cuda;

import io.github.skim4j.engine.backend.BackendException;

/** A call of the CUDA driver failed; the message names the call and the driver's reason. */
public class CudaException extends BackendException {

    public CudaException(String message) {
        super(message);
    }
}
