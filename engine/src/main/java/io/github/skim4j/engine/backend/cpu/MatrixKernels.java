package io.github.skim4j.engine.backend.cpu;

/** Products with weights, and the loops over activations between them. */
interface MatrixKernels {

    /** Rows in a panel of a {@link PackedMatrix}. */
    int lanes();

    /** Tokens that must stand side by side in {@link MatrixInput#tiles}, if there are several. */
    int tile();

    /** {@code output[t][row] = Σ_k input[t][k] * matrix[row][k]} for the rows of a panel, padding included. */
    void multiply(PackedMatrix matrix, int panel, MatrixInput input, float[] output, int stride, MatrixScratch scratch);

    /** {@code Σ values[i]²}. */
    float sumOfSquares(float[] values, int from, int count);

    /** {@code gate[i] *= sigmoid(gate[i]) * up[i]}. */
    void swiGlu(float[] gate, float[] up, int from, int count);
}
