package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.kv.KvSequence;
import io.github.skim4j.engine.model.HalfFloats;
import io.github.skim4j.engine.model.ModelConfig;

/**
 * One bit a dimension (in the spirit of RaBitQ, arXiv 2405.12497): with μ the mean of the keys that the sequence had when it was first
 * sketched and R a fixed rotation, the signs of R(k − μ) and the factor ‖k − μ‖² / Σ|R(k − μ)|, so that {@code q·k ≈ q·μ + factor · Σ
 * ±(Rq)}. Signs are the bits of words, the first dimension in the lowest bit, which is set for what is not negative: an array
 * [token of the page][page] for each KV head and 32 dimensions. Factors are bfloat16 at [kvHead][token of the page][page]. So sums over a
 * page's tokens are sums of vectors.
 */
final class KeySketches extends PageData {

    /** Least number of tokens that the mean is taken of. */
    static final int MEAN_TOKENS = 256;

    private final int kvHeads;
    private final int headDim;
    private final int pageSize;
    private final Rotation rotation;
    private final int[][][] signs;
    private final short[][] factors;
    /** [page * layers + layer][kvHead][headDim]: one array for all pages of a sequence. */
    private final float[][] means;

    private final int layers;

    KeySketches(ModelConfig config, int pageSize, int pages) {
        super(pages, config.layers());
        this.kvHeads = config.kvHeads();
        this.headDim = config.headDim();
        this.pageSize = pageSize;
        rotation = new Rotation(headDim);
        signs = new int[blocks()][][];
        factors = new short[blocks()][];
        layers = config.layers();
        means = new float[pages * layers][];
    }

    Rotation rotation() {
        return rotation;
    }

    /**
     * The arrays that have the signs of a page and layer, [kvHead * words + word]. In each the word of the page's first token is at its place
     * in the block's first row; those of its other tokens are {@link #blockPages} apart.
     */
    int[][] signs(int page, int layer) {
        return signs[block(page, layer)];
    }

    /** Words that hold a key's signs. */
    int words() {
        return (headDim + Integer.SIZE - 1) / Integer.SIZE;
    }

    /** The array that has the factors of a page and layer. */
    short[] factors(int page, int layer) {
        return factors[block(page, layer)];
    }

    /** Where in it that of a page's first token and a KV head is, and how far apart the others are, as for signs. */
    int factorsOffset(int page, int kvHead) {
        return place(page, kvHead * pageSize);
    }

    /** The means that a page's keys were taken relative to, [kvHead][headDim]. */
    float[] means(int page, int layer) {
        return means[page * layers + layer];
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
        super.begin(source, sequence, layer, first, end);
        float[] mean = first == 0
                ? mean(source, sequence, layer, meanPages(sequence))
                : means(sequence.page(first - 1), layer);
        for (int p = first; p < end; p++) {
            means[sequence.page(p) * layers + layer] = mean;
        }
    }

    /** Those before the first token that selects, so that it does not matter how what follows is cut into steps. */
    private int meanPages(KvSequence sequence) {
        return Math.max(MEAN_TOKENS, sequence.slots()) / pageSize;
    }

    private float[] mean(KvPages source, KvSequence sequence, int layer, int count) {
        float[] mean = new float[kvHeads * headDim];
        float[] keys = new float[pageSize * headDim];
        for (int p = 0; p < count; p++) {
            for (int head = 0; head < kvHeads; head++) {
                source.keys(sequence.page(p), layer, head, keys);
                for (int i = 0; i < keys.length; i++) {
                    mean[head * headDim + i % headDim] += keys[i];
                }
            }
        }
        for (int i = 0; i < mean.length; i++) {
            mean[i] /= count * pageSize;
        }
        return mean;
    }

    @Override
    void allocate(int block) {
        if (signs[block] == null) {
            int tokens = blockPages() * pageSize;
            signs[block] = new int[kvHeads * words()][tokens];
            factors[block] = new short[kvHeads * tokens];
        }
    }

    @Override
    void make(Fill fill, int page) {
        float[] mean = means(page, fill.layer());
        float[] keys = fill.keys();
        for (int head = 0; head < kvHeads; head++) {
            fill.pages().keys(page, fill.layer(), head, keys);
            int[][] pageSigns = signs(page, fill.layer());
            short[] pageFactors = factors(page, fill.layer());
            int factor = factorsOffset(page, head);
            for (int t = 0; t < pageSize; t++) {
                for (int i = 0; i < headDim; i++) {
                    keys[t * headDim + i] -= mean[head * headDim + i];
                }
                pageFactors[factor + t * blockPages()] = factor(keys, t * headDim);
                for (int w = 0; w < words(); w++) {
                    pageSigns[head * words() + w][place(page, t)] = signs(keys, t * headDim, w);
                }
            }
        }
    }

    /** Rotates a centred key and returns its factor. */
    private short factor(float[] key, int from) {
        double squares = 0;
        for (int i = from; i < from + headDim; i++) {
            squares += key[i] * key[i];
        }
        rotation.apply(key, from);
        double sum = 0;
        for (int i = from; i < from + headDim; i++) {
            sum += Math.abs(key[i]);
        }
        return HalfFloats.floatToBfloat16(sum == 0 ? 0 : (float) (squares / sum));
    }

    private int signs(float[] rotated, int from, int word) {
        int bits = 0;
        int first = word * Integer.SIZE;
        for (int i = first; i < Math.min(first + Integer.SIZE, headDim); i++) {
            bits |= (rotated[from + i] >= 0 ? 1 : 0) << i;
        }
        return bits;
    }
}
