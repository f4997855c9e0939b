package io.github.skim4j.engine.backend.cpu;

/**
 * The loops that take the time. Two implementations give the same results within rounding; each gives the same bits for a row
 * of inputs whatever other rows are computed with it. Matrices in float arrays are row-major; a stride is the distance between
 * rows.
 */
interface CpuKernels {

    /** What computes, such as {@code 256-bit vectors}. */
    String name();

    /** Rows in a panel of a {@link PackedMatrix}. */
    int lanes();

    /** {@code output[t][row] = Σ_k input[t][k] * matrix[row][k]} for the rows of strip {@code strip}, padding included. */
    void multiply(PackedMatrix matrix, int strip, MatrixInput input, float[] output, int stride, MatrixScratch scratch);

    /** {@link KvPages#score} on float keys at {@code keys[from…]}. */
    void score(
            float[] queries,
            int headDim,
            int rows,
            float[] keys,
            int from,
            int pageSize,
            float[] scores,
            int to,
            int stride);

    /** {@link KvPages#score} on bfloat16 pairs. */
    void score(
            float[] queries,
            int headDim,
            int rows,
            int[] keys,
            int from,
            int pageSize,
            float[] scores,
            int to,
            int stride);

    /** {@link KvPages#addWeighted} on float values at {@code values[at…]}. */
    void addWeighted(
            float[] weights,
            int from,
            int stride,
            int rows,
            float[] values,
            int at,
            int pageSize,
            float[] result,
            int headDim);

    /** {@link KvPages#addWeighted} on bfloat16 pairs. */
    void addWeighted(
            float[] weights,
            int from,
            int stride,
            int rows,
            int[] values,
            int at,
            int pageSize,
            float[] result,
            int headDim);

    /** The largest of {@code count} values, a multiple of 8. */
    float max(float[] values, int from, int count);

    /** Replaces {@code count} (a multiple of 8) values by {@code exp(value - shift)}, 0 for -∞, and returns their sum. */
    float expAndSum(float[] values, int from, int count, float shift);

    /** {@code values[i] *= factor}. */
    void scale(float[] values, int from, int count, float factor);

    /** {@code Σ values[i]²}. */
    float sumOfSquares(float[] values, int from, int count);

    /** {@code target[i] = gate[i] * sigmoid(gate[i]) * up[i]}. */
    void swiGlu(float[] gate, float[] up, int from, int count, float[] target, int to);
}
