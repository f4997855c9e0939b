package io.github.skim4j.engine.backend.cpu;

import java.util.Arrays;

/** Plain Java. */
final class ScalarSelectionKernels implements SelectionKernels {

    private static float low(int pair) {
        return Float.intBitsToFloat(pair << 16);
    }

    private static float high(int pair) {
        return Float.intBitsToFloat(pair & 0xffff0000);
    }

    @Override
    public void statistics(
            float[] weights,
            int rows,
            int headDim,
            int[] pairs,
            int from,
            boolean root,
            float[] scores,
            int to,
            int stride) {
        float[] upper = new float[PageStatistics.PANEL];
        for (int r = 0; r < rows; r++) {
            int at = to + r * stride;
            Arrays.fill(scores, at, at + upper.length, 0);
            Arrays.fill(upper, 0);
            for (int i = 0; i < headDim; i++) {
                int pair = from + i * upper.length;
                float low = weights[r * headDim + i];
                float high = weights[(rows + r) * headDim + i];
                for (int p = 0; p < upper.length; p++) {
                    scores[at + p] += low * low(pairs[pair + p]);
                    upper[p] += high * high(pairs[pair + p]);
                }
            }
            for (int p = 0; p < upper.length; p++) {
                scores[at + p] += root ? (float) Math.sqrt(upper[p]) : upper[p];
            }
        }
    }

    @Override
    public void statistics8(
            float[] weights,
            int rows,
            int headDim,
            int[] words,
            int from,
            boolean root,
            float[] scores,
            int to,
            int stride) {
        int scales = from + headDim / 2 * PageStatistics.PANEL;
        for (int r = 0; r < rows; r++) {
            int low = r * headDim;
            int high = (rows + r) * headDim;
            for (int p = 0; p < PageStatistics.PANEL; p++) {
                float lower = 0;
                float upper = 0;
                for (int i = 0; i < headDim; i += 2) {
                    int word = words[from + p + i / 2 * PageStatistics.PANEL];
                    lower += weights[low + i] * Float8.unbiased(word << 24);
                    upper += weights[high + i] * Float8.unbiased(word << 16);
                    lower += weights[low + i + 1] * Float8.unbiased(word << 8);
                    upper += weights[high + i + 1] * Float8.unbiased(word);
                }
                lower *= Float8.ROOT_OF_BIAS;
                lower *= Float.intBitsToFloat(words[scales + p]);
                upper *= Float8.ROOT_OF_BIAS;
                upper *= Float.intBitsToFloat(words[scales + PageStatistics.PANEL + p]);
                scores[to + p + r * stride] = lower + (root ? (float) Math.sqrt(upper) : upper);
            }
        }
    }

    @Override
    public void mergeRows(
            float[] scores,
            int at,
            int stride,
            int rows,
            int count,
            float[] terms,
            int factor,
            int addend,
            int termStride) {
        for (int i = at; i < at + count; i++) {
            float best = scores[i] * terms[factor] + terms[addend];
            for (int r = 1; r < rows; r++) {
                best = Math.max(
                        best, scores[i + r * stride] * terms[factor + r * termStride] + terms[addend + r * termStride]);
            }
            scores[i] = best;
        }
    }

    @Override
    public void quantized(
            float[] queries,
            int channels,
            int rows,
            int[] words,
            int from,
            int pageSize,
            float[] scores,
            int to,
            int stride) {
        int pairs = from + channels / 8 * pageSize;
        for (int r = 0; r < rows; r++) {
            int at = to + r * stride;
            Arrays.fill(scores, at, at + pageSize, 0);
            for (int c = 0; c < channels; c++) {
                float q = queries[r * channels + c];
                int word = from + c / 8 * pageSize;
                int shift = c % 8 == 7 ? 28 : 0;
                int mask = c % 8 == 7 ? 15 : 15 << c % 8 * 4;
                for (int t = 0; t < pageSize; t++) {
                    scores[at + t] += q * (words[word + t] >>> shift & mask);
                }
            }
            float sum = queries[Attend.even(rows) * channels + r];
            for (int t = 0; t < pageSize; t++) {
                scores[at + t] = low(words[pairs + t]) * scores[at + t] + high(words[pairs + t]) * sum;
            }
        }
    }

    /** Two words at a time, which the processor counts as fast as one. */
    @Override
    public void signSums(int[][] signs, int first, int words, int tokens, int[] query, int at, int[] sums) {
        Arrays.fill(sums, 0, tokens, query[at]);
        for (int w = 0; w < words; w += 2) {
            int[] low = signs[first + w];
            int[] high = signs[first + Math.min(w + 1, words - 1)];
            int plane = at + 1 + w * NUMBER_BITS;
            boolean pair = w + 1 < words;
            long ones = plane(query, plane, pair);
            long twos = plane(query, plane + 1, pair);
            long fours = plane(query, plane + 2, pair);
            long minusEights = plane(query, plane + 3, pair);
            for (int t = 0; t < tokens; t++) {
                long bits = low[t] & 0xffffffffL | (long) high[t] << Integer.SIZE;
                int sum = Long.bitCount(bits & ones)
                        + (Long.bitCount(bits & twos) << 1)
                        + (Long.bitCount(bits & fours) << 2)
                        - (Long.bitCount(bits & minusEights) << 3);
                sums[t] += sum << 1;
            }
        }
    }

    private static long plane(int[] query, int at, boolean pair) {
        return query[at] & 0xffffffffL | (pair ? (long) query[at + NUMBER_BITS] << Integer.SIZE : 0);
    }

    @Override
    public void scaleSums(
            int[] sums,
            short[] factors,
            int from,
            float step,
            float[] offsets,
            int at,
            int tokens,
            int pages,
            float[] logits) {
        for (int i = 0; i < tokens * pages; i++) {
            logits[i] = offsets[at + i % pages] + low(factors[from + i]) * (step * sums[i]);
        }
    }

    @Override
    public void roughExpSums(float[] logits, int tokens, int pages, float shift, float[] sums, int to) {
        float addend = RoughExp.addend(shift);
        Arrays.fill(sums, to, to + pages, 0);
        for (int i = 0; i < tokens * pages; i++) {
            float fixed = Math.max(logits[i] * RoughExp.FACTOR + addend, RoughExp.ZERO);
            sums[to + i % pages] += Float.intBitsToFloat(Float.floatToRawIntBits(fixed) << RoughExp.SHIFT);
        }
    }

    @Override
    public void expSums(float[] logits, int from, int pageSize, int pages, float shift, float[] sums, int to) {
        for (int p = 0; p < pages; p++) {
            float sum = 0;
            for (int i = from + p * pageSize; i < from + (p + 1) * pageSize; i++) {
                sum += Exp.exp(logits[i] - shift);
            }
            sums[to + p] = sum;
        }
    }
}
