package io.github.skim4j.engine.backend.cpu;

/** Scores of keys, softmax and weighted sums of values. */
interface AttentionKernels {

    /** Sums over which {@link #expAndSum} spreads one: as many as the widest vectors have lanes. */
    int SUMS = 16;

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

    /**
     * Replaces {@code count} (a multiple of 8) values by {@code exp(value - shift)}, 0 for -∞, and adds each to one of the
     * {@link #SUMS} sums from {@code to} on. A sum across lanes would put a vector on the heap.
     */
    void expAndSum(float[] values, int from, int count, float shift, float[] sums, int to);

    /** {@code values[i] *= factor}. */
    void scale(float[] values, int from, int count, float factor);
}
