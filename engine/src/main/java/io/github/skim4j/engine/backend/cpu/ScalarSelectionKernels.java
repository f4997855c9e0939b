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
    public void bounds(
            float[] queries, int rows, int headDim, int[] pairs, int from, float[] scores, int to, int stride) {
        for (int r = 0; r < rows; r++) {
            float sum = 0;
            for (int i = 0; i < headDim; i++) {
                float q = queries[r * headDim + i];
                sum += Math.max(q * low(pairs[from + i]), q * high(pairs[from + i]));
            }
            scores[to + r * stride] = sum;
        }
    }

    @Override
    public void moments(
            float[] queries, int rows, int headDim, int[] pairs, int from, float[] scores, int to, int stride) {
        for (int r = 0; r < rows; r++) {
            float mean = 0;
            float variance = 0;
            for (int i = 0; i < headDim; i++) {
                float q = queries[r * headDim + i];
                mean += q * low(pairs[from + i]);
                variance += q * q * high(pairs[from + i]);
            }
            scores[to + r * stride] = mean + (float) Math.sqrt(variance);
        }
    }

    @Override
    public void quantized(
            float[] queries,
            int at,
            int rows,
            int channels,
            int[] words,
            int from,
            int pageSize,
            float[] scores,
            int to,
            int stride) {
        int scales = from + channels / 8 * pageSize;
        for (int r = 0; r < rows; r++) {
            int row = to + r * stride;
            Arrays.fill(scores, row, row + pageSize, 0);
            for (int c = 0; c < channels; c++) {
                float q = queries[at + r * channels + c];
                int word = from + c / 8 * pageSize;
                int shift = c % 8 * 4;
                for (int t = 0; t < pageSize; t++) {
                    scores[row + t] += q * (words[word + t] >>> shift & 15);
                }
            }
            for (int t = 0; t < pageSize; t++) {
                scores[row + t] = low(words[scales + t]) * scores[row + t] + high(words[scales + t]) * queries[r];
            }
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
