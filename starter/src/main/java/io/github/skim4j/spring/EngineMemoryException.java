package io.github.skim4j.spring;

import io.github.skim4j.engine.SkimException;

/** The memory of the Java virtual machine does not hold the model and its KV cache. */
public class EngineMemoryException extends SkimException {

    public EngineMemoryException(String model, OutOfMemoryError cause) {
        super(
                "There is too little memory to load model '" + model + "' with its KV cache ("
                        + Runtime.getRuntime().maxMemory() / (1 << 20) + " MB of heap at most): " + cause.getMessage(),
                cause);
    }
}
