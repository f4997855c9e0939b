package io.github.skim4j.engine.backend;

/** The device's memory is too small for weights or KV cache; the message says which and what to change. */
public class DeviceMemoryException extends BackendException {

    public DeviceMemoryException(String message) {
        super(message);
    }

    public DeviceMemoryException(String message, Throwable cause) {
        super(message, cause);
    }
}
