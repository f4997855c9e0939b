package io.github.skim4j.engine.backend.cpu;

/** The loops of selection; two implementations, as of {@link CpuKernels}. Rows are query heads, [rows][headDim]. */
interface SelectionKernels {

    /** {@code scores[to + r * stride] = Σ_d max(q_d * max_d, q_d * min_d)} from {@link PageStatistics} of bounds at {@code pairs[from…]}. */
    void bounds(float[] queries, int rows, int headDim, int[] pairs, int from, float[] scores, int to, int stride);

    /** {@code scores[to + r * stride] = Σ_d q_d * mean_d + sqrt(Σ_d q_d² * variance_d)} from {@link PageStatistics} of moments. */
    void moments(float[] queries, int rows, int headDim, int[] pairs, int from, float[] scores, int to, int stride);

    /**
     * {@code scores[to + r * stride + t] = scale_t * Σ_c q_c * level_tc + min_t * Σ_c q_c} for the tokens of a page of {@link QuantizedKeys}.
     *
     * @param queries Σ_c q_c of each row, and from {@code at} on [rows][channels]; room for an even number of rows
     */
    void quantized(
            float[] queries,
            int at,
            int rows,
            int channels,
            int[] words,
            int from,
            int pageSize,
            float[] scores,
            int to,
            int stride);

    /** {@code sums[to + p] = Σ exp(logits[from + p * pageSize…] - shift)} for {@code pages} pages. */
    void expSums(float[] logits, int from, int pageSize, int pages, float shift, float[] sums, int to);
}
