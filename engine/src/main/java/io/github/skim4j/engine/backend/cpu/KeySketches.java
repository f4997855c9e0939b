package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.kv.KvSequence;
import io.github.skim4j.engine.model.HalfFloats;
import io.github.skim4j.engine.model.ModelConfig;

/**
 * One bit a dimension (in the spirit of RaBitQ, arXiv 2405.12497): with μ the mean of the sequence's first keys and R a fixed rotation, the signs
 * of R(k − μ) and the factor ‖k − μ‖² / Σ|R(k − μ)|, so that {@code q·k ≈ q·μ + factor · Σ ±(Rq)}. For each KV head [headDim / 64][token] words of
 * signs, then the factors as bfloat16, four in a word.
 */
final class KeySketches extends PageData {

    /** Tokens that the mean is taken of, which therefore does not depend on how a prompt is cut. */
    static final int MEAN_TOKENS = 256;

    private final int kvHeads;
    private final int headDim;
    private final int pageSize;
    private final int wordsPerToken;
    private final Rotation rotation;
    private final long[][] words;
    /** [page and layer][kvHead][headDim]: one array for all pages of a sequence. */
    private final float[][] means;

    KeySketches(ModelConfig config, int pageSize, int pages) {
        super(pages, config.layers());
        this.kvHeads = config.kvHeads();
        this.headDim = config.headDim();
        this.pageSize = pageSize;
        wordsPerToken = (headDim + 63) / 64;
        rotation = new Rotation(headDim);
        words = new long[pages * config.layers()][];
        means = new float[pages * config.layers()][];
    }

    Rotation rotation() {
        return rotation;
    }

    int wordsPerToken() {
        return wordsPerToken;
    }

    long[] of(int page, int layer) {
        return words[index(page, layer)];
    }

    /** Where a KV head's signs begin. */
    int signs(int kvHead) {
        return kvHead * words();
    }

    /** Where a KV head's factors begin. */
    int factors(int kvHead) {
        return kvHead * words() + wordsPerToken * pageSize;
    }

    private int words() {
        return wordsPerToken * pageSize + pageSize / 4;
    }

    /** The means that a page's keys were taken relative to, [kvHead][headDim]. */
    float[] means(int page, int layer) {
        return means[index(page, layer)];
    }

    /** Bytes as they would be stored without padding: headDim bits and a factor of 16 a token. */
    @Override
    int bytes() {
        return (headDim / 8 + 2) * pageSize;
    }

    @Override
    int minTokens() {
        return MEAN_TOKENS;
    }

    /** The mean stays that of the pages before, whichever sequence they were made for. */
    @Override
    void begin(KvPages source, KvSequence sequence, int layer, int first, int end) {
        float[] mean = first == 0 ? mean(source, sequence, layer) : means(sequence.page(first - 1), layer);
        for (int p = first; p < end; p++) {
            means[index(sequence.page(p), layer)] = mean;
        }
    }

    private float[] mean(KvPages source, KvSequence sequence, int layer) {
        float[] mean = new float[kvHeads * headDim];
        float[] keys = new float[pageSize * headDim];
        for (int p = 0; p < MEAN_TOKENS / pageSize; p++) {
            for (int head = 0; head < kvHeads; head++) {
                source.keys(sequence.page(p), layer, head, keys);
                for (int i = 0; i < keys.length; i++) {
                    mean[head * headDim + i % headDim] += keys[i];
                }
            }
        }
        for (int i = 0; i < mean.length; i++) {
            mean[i] /= MEAN_TOKENS;
        }
        return mean;
    }

    @Override
    void make(Fill fill, int page) {
        int index = index(page, fill.layer());
        if (words[index] == null) {
            words[index] = new long[kvHeads * words()];
        }
        float[] mean = means[index];
        float[] keys = fill.keys();
        for (int head = 0; head < kvHeads; head++) {
            fill.pages().keys(page, fill.layer(), head, keys);
            for (int t = 0; t < pageSize; t++) {
                for (int i = 0; i < headDim; i++) {
                    keys[t * headDim + i] -= mean[head * headDim + i];
                }
                sketch(keys, t * headDim, words[index], head, t);
            }
        }
    }

    private void sketch(float[] key, int from, long[] target, int head, int token) {
        double squares = 0;
        for (int i = from; i < from + headDim; i++) {
            squares += key[i] * key[i];
        }
        rotation.apply(key, from);
        double sum = 0;
        int to = signs(head) + token;
        for (int w = 0; w < wordsPerToken; w++) {
            long signs = 0;
            for (int i = w * 64; i < Math.min(headDim, w * 64 + 64); i++) {
                float value = key[from + i];
                sum += Math.abs(value);
                signs |= (value >= 0 ? 1L : 0) << i - w * 64;
            }
            target[to + w * pageSize] = signs;
        }
        long factor = HalfFloats.floatToBfloat16(sum == 0 ? 0 : (float) (squares / sum)) & 0xffffL;
        int word = factors(head) + token / 4;
        int shift = token % 4 * 16;
        target[word] = target[word] & ~(0xffffL << shift) | factor << shift;
    }
}
