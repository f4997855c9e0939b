package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.backend.Backend;
import io.github.skim4j.engine.backend.BackendConfig;
import io.github.skim4j.engine.backend.BackendProvider;
import io.github.skim4j.engine.model.ModelWeights;

/** The CPU, which is always there. */
public final class CpuBackendProvider implements BackendProvider {

    @Override
    public String name() {
        return "cpu";
    }

    @Override
    public int preference() {
        return 0;
    }

    @Override
    public String unavailable(int ordinal) {
        return ordinal == 0 ? null : "there is one CPU device, number 0, but " + ordinal + " was asked for";
    }

    @Override
    public boolean loadsInBackground() {
        return true;
    }

    @Override
    public Backend open(ModelWeights weights, BackendConfig config) {
        return CpuBackend.open(weights, config, KernelSelection.select());
    }
}
