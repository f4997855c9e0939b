package io.github.skim4j.engine.model;

/** A model's shape and weights, as a backend sees them. */
public interface ModelWeights {

    /** For messages: file name or the like. */
    String name();

    ModelConfig config();

    /**
     * A tensor that must be there.
     *
     * @param layer from 0; ignored for roles outside the blocks
     * @throws ModelFormatException naming file and tensor if it is missing
     */
    default Tensor require(TensorRole role, int layer) {
        Tensor tensor = find(role, layer);
        if (tensor == null) {
            throw new ModelFormatException(name() + ": no tensor for " + role + " of layer " + layer);
        }
        return tensor;
    }

    /** Which dimensions of the keys matter most, or {@code null} if the model was not calibrated. */
    default LabelChannels labelChannels() {
        return null;
    }

    /** A tensor, or {@code null} if the model has none for this role. Its shape has been checked against the config. */
    Tensor find(TensorRole role, int layer);
}
