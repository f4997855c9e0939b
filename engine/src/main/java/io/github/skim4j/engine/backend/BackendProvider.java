package io.github.skim4j.engine.backend;

import io.github.skim4j.engine.model.ModelWeights;
import io.github.skim4j.engine.model.TensorType;

/** A kind of device; found through {@link java.util.ServiceLoader}. */
public interface BackendProvider {

    /** Name in settings: {@code cpu}, {@code cuda}. */
    String name();

    /** {@code auto} takes the available provider of the highest preference. */
    int preference();

    /** {@code null} if a device is there, else why not, in one sentence. */
    String unavailable(int ordinal);

    /** The type that a matrix of type {@code loaded} is turned into where this kind of device has no kernels for it. */
    default TensorType computedType(TensorType loaded) {
        return loaded;
    }

    /** Whether {@link #open} returns before the weights are loaded. */
    default boolean loadsInBackground() {
        return false;
    }

    /**
     * Loads the weights onto the device, or begins to: they must stay readable until {@link Backend#loaded} completes or the backend is
     * closed. Nothing stays allocated if it throws.
     *
     * @throws BackendException if the device or its memory does not do
     */
    Backend open(ModelWeights weights, BackendConfig config);
}
