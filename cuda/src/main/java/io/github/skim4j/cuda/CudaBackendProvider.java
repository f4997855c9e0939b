package io.github.skim4j.cuda;

import io.github.skim4j.engine.backend.Backend;
import io.github.skim4j.engine.backend.BackendConfig;
import io.github.skim4j.engine.backend.BackendProvider;
import io.github.skim4j.engine.model.ModelWeights;
import io.github.skim4j.engine.model.TensorType;

/** NVIDIA GPUs of compute capability 8.0 and later. */
public final class CudaBackendProvider implements BackendProvider {

    @Override
    public String name() {
        return "cuda";
    }

    @Override
    public int preference() {
        return 10;
    }

    @Override
    public String unavailable(int ordinal) {
        return Driver.unavailable(ordinal);
    }

    @Override
    public TensorType computedType(TensorType loaded) {
        return MatrixType.of(loaded) == MatrixType.F16 ? TensorType.F16 : MatrixType.uploadedType(loaded);
    }

    @Override
    public Backend open(ModelWeights weights, BackendConfig config) {
        return CudaBackend.open(weights, config);
    }
}
