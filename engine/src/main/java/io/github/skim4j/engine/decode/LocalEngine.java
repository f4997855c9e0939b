package io.github.skim4j.engine.decode;

import io.github.skim4j.engine.Engine;
import io.github.skim4j.engine.EngineConfig;

/** The engine of this process. */
public final class LocalEngine {

    private LocalEngine() {}

    public static Engine open(EngineConfig config) {
        throw new UnsupportedOperationException("not yet: " + config.model());
    }
}
