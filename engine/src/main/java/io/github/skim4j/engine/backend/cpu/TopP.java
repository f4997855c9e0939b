package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.backend.cpu.Selection.Scratch;
import java.util.Arrays;

/**
 * Keeps the fewest tokens whose weights reach a share p of the list's, for each query head, and reads their union (Twilight, arXiv
 * 2502.02770, section 4.1). The threshold is found without sorting: a histogram of the weights over their logits leaves one narrow bin
 * to look into.
 */
final class TopP implements Selection.Stage {

    /** Entries that are scored in one part. */
    private static final int CHUNK = 64;

    private static final int BINS = 1024;

    /** Bins in a unit of logits below the greatest; what is further below than 64 units is in the last. */
    private static final int BINS_PER_UNIT = 16;

    private final double p;
    private final AttentionKernels kernels;
    private final TokenScorer estimate;
    private final TokenScorer exact;

    /**
     * @param estimate logits of whole pages
     * @param exact logits of the page being filled
     */
    TopP(double p, AttentionKernels kernels, TokenScorer estimate, TokenScorer exact) {
        this.p = p;
        this.kernels = kernels;
        this.estimate = estimate;
        this.exact = exact;
    }

    @Override
    public int begin(Selection selection) {
        if (p >= 1) {
            return SKIP;
        }
        int entries = selection.list().size();
        selection.scores(Attend.even(selection.rows()) * width(selection));
        estimate.prepare(selection);
        selection.addBytes((long) estimate.bytes() * (entries - 1));
        return (entries + CHUNK - 1) / CHUNK;
    }

    private static int width(Selection selection) {
        return selection.list().size() * selection.tile().sequence().pageSize();
    }

    @Override
    public void part(Selection selection, int part, Scratch scratch) {
        int entries = selection.list().size();
        int pageSize = selection.tile().sequence().pageSize();
        int width = width(selection);
        int end = Math.min(entries, (part + 1) * CHUNK);
        for (int e = part * CHUNK; e < end; e++) {
            (e == entries - 1 ? exact : estimate)
                    .logits(selection, e, selection.scores(), e * pageSize, width, scratch);
        }
        TokenScorer.hideUnread(selection, part * CHUNK, end, selection.scores(), part * CHUNK * pageSize, width);
    }

    @Override
    public void end(Selection selection, Scratch scratch) {
        TokenList list = selection.list();
        int entries = list.size();
        int pageSize = selection.tile().sequence().pageSize();
        int width = width(selection);
        float[] logits = selection.scores();
        float[] thresholds = new float[selection.rows()];
        for (int r = 0; r < thresholds.length; r++) {
            thresholds[r] = threshold(logits, r * width, width, p, kernels, scratch);
        }
        TokenList kept = selection.beginList();
        for (int e = 0; e < entries; e++) {
            long mask = selection.forcedTokens(list, e);
            for (int r = 0; r < thresholds.length; r++) {
                int at = r * width + e * pageSize;
                for (int t = 0; t < pageSize; t++) {
                    mask |= (logits[at + t] >= thresholds[r] ? 1L : 0) << t;
                }
            }
            mask &= list.mask(e);
            if (mask != 0) {
                kept.add(list, e, mask);
            }
        }
    }

    /** The greatest logit such that those from it on have a share of at least {@code p} of the sum of all exponentials. */
    static float threshold(float[] logits, int from, int count, double p, AttentionKernels kernels, Scratch scratch) {
        float[] weights = scratch.floats(count);
        System.arraycopy(logits, from, weights, 0, count);
        float max = kernels.max(weights, 0, count);
        kernels.expAndSum(weights, 0, count, max, new float[AttentionKernels.SUMS], 0);
        double[] bins = new double[BINS];
        double total = 0;
        for (int i = 0; i < count; i++) {
            bins[bin(logits[from + i], max)] += weights[i];
            total += weights[i];
        }
        double missing = p * total;
        int bin = 0;
        while (bin < BINS - 1 && bins[bin] < missing) {
            missing -= bins[bin++];
        }
        int members = 0;
        for (int i = 0; i < count; i++) {
            if (bin(logits[from + i], max) == bin) {
                weights[members++] = logits[from + i];
            }
        }
        if (members == 0) {
            return Float.NEGATIVE_INFINITY; // p is so close to 1 that rounding left a share beyond all tokens
        }
        Arrays.sort(weights, 0, members);
        int last = members - 1;
        while (last > 0 && (missing -= Exp.exp(weights[last] - max)) > 0) {
            last--;
        }
        return weights[last];
    }

    private static int bin(float logit, float max) {
        return (int) Math.min(BINS - 1, (max - logit) * BINS_PER_UNIT);
    }
}
