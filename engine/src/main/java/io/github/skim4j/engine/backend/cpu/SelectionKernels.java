package io.github.skim4j.engine.backend.cpu;

/** The loops of selection; two implementations, as of {@link CpuKernels}. Rows are query heads, [rows][headDim]. */
interface SelectionKernels {

    /** Of a query's numbers in {@link #signSums}. */
    int NUMBER_BITS = 4;

    /**
     * {@code scores[to + p + r * stride] = Σ_d lower_rd * low_pd + Σ_d upper_rd * high_pd} for the {@link PageStatistics#PANEL} statistics of a panel, of
     * whose pairs low and high are the halves.
     *
     * @param weights [rows][headDim] for the lower halves and behind them as many for the upper
     * @param rows even
     * @param root whether the second sum's root is added in place of the sum
     */
    void statistics(
            float[] weights,
            int rows,
            int headDim,
            int[] pairs,
            int from,
            boolean root,
            float[] scores,
            int to,
            int stride);

    /**
     * The same of FP8 statistics.
     *
     * @param weights those of {@link #statistics} times {@link Float8#ROOT_OF_BIAS}
     * @param words a panel's, from {@code from} on
     */
    void statistics8(
            float[] weights,
            int rows,
            int headDim,
            int[] words,
            int from,
            boolean root,
            float[] scores,
            int to,
            int stride);

    /**
     * {@code scores[at + i] = max_r(scores[at + r * stride + i] * factor_r + addend_r)} for {@code count} (a multiple of 16) scores of each row.
     *
     * @param terms factors from {@code factor} on and addends from {@code addend} on, those of rows {@code termStride} apart
     */
    void mergeRows(
            float[] scores,
            int at,
            int stride,
            int rows,
            int count,
            float[] terms,
            int factor,
            int addend,
            int termStride);

    /**
     * {@code scores[to + t + r * stride] = scale_t * Σ_c q_rc * level_tc + min_t * Σ_c q_rc} for the tokens of a page of {@link QuantizedKeys}.
     *
     * @param queries [even rows][channels], the {@code c}-th times {@link #unit}, and behind them each row's sum of the queries themselves
     * @param words those of the page, from {@code from} on
     */
    void quantized(
            float[] queries,
            int channels,
            int rows,
            int[] words,
            int from,
            int pageSize,
            float[] scores,
            int to,
            int stride);

    /** What a query's channel is multiplied with, so that four bits need not be shifted down to stand for a level; the uppermost are, for their sign. */
    static float unit(int channel) {
        int place = channel % 8;
        return place == 7 ? 1 : 1f / (1 << 4 * place);
    }

    /**
     * Products of tokens' signs and a query's whole numbers of {@link #NUMBER_BITS}, in two's complement: {@code sums[t] = Σ_i ±number_i}, plus
     * where the bit of dimension i is set.
     *
     * @param signs [words][tokens] from the array {@code first} on; tokens begin where arrays do, or no vectors are made of the loops
     * @param query from {@code at} on -Σ_i number_i, then for each word and bit of the numbers the dimensions that have it
     */
    void signSums(int[][] signs, int first, int words, int tokens, int[] query, int at, int[] sums);

    /**
     * {@code logits[t][p] = offset_p + factor[t][p] * step * sum[t][p]}, for {@code tokens} of each of {@code pages}, a multiple of 64.
     *
     * @param factors as bfloat16, from {@code from} on
     * @param offsets from {@code at} on
     */
    void scaleSums(
            int[] sums,
            short[] factors,
            int from,
            float step,
            float[] offsets,
            int at,
            int tokens,
            int pages,
            float[] logits);

    /** {@code sums[to + p] = Σ_t exp(logits[t][p] - shift)} with {@link RoughExp}, as these logits are rough too; {@code pages} as above. */
    void roughExpSums(float[] logits, int tokens, int pages, float shift, float[] sums, int to);

    /** {@code sums[to + p] = Σ exp(logits[from + p * pageSize…] - shift)} for {@code pages} pages. */
    void expSums(float[] logits, int from, int pageSize, int pages, float shift, float[] sums, int to);
}
