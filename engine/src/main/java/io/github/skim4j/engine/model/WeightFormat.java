package io.github.skim4j.engine.model;

/** Whether matrices are quantised while they are loaded. */
public enum WeightFormat {
    /** As the file has them; types that no backend computes on become Q8_0. */
    AS_STORED,
    /** F32, F16 and BF16 matrices become Q8_0. */
    Q8_0,
    /** F32, F16 and BF16 matrices become Q4_0, the embedding Q8_0. */
    Q4_0;

    /** The type that a matrix is loaded as; one whose rows are not whole blocks stays as it is. */
    public TensorType loadedType(Tensor matrix, TensorRole role) {
        return switch (matrix.type()) {
            case Q2_K, Q3_K, IQ4_NL, IQ4_XS -> TensorType.Q8_0;
            case F32, F16, BF16 ->
                this == AS_STORED || matrix.columns() % TensorType.Q8_0.blockSize() != 0
                        ? matrix.type()
                        : this == Q8_0 || role == TensorRole.TOKEN_EMBEDDING ? TensorType.Q8_0 : TensorType.Q4_0;
            default -> matrix.type();
        };
    }
}
