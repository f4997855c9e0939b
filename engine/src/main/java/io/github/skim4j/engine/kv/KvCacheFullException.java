package io.github.skim4j.engine.kv;

import io.github.skim4j.engine.SkimException;

/** The KV cache has too few free pages for a sequence; the message names need, size and the property to raise. */
public class KvCacheFullException extends SkimException {

    public KvCacheFullException(String message) {
        super(message);
    }

    public KvCacheFullException(String message, Throwable cause) {
        super(message, cause);
    }
}
