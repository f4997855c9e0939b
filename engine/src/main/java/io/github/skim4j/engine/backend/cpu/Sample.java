package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.attention.VAttention;
import io.github.skim4j.engine.attention.VAttention.Verify;
import io.github.skim4j.engine.backend.cpu.Selection.Scratch;
import java.util.Arrays;

/**
 * Adds a uniform sample of the tokens that are not on the list, with the weight of those that each stands for (vAttention, arXiv 2510.05688,
 * section 4). The rest is cut into strata of equal size; a pilot of one token each tells how much the rest varies and hence how many more of each
 * stratum it takes, drawn without replacement. One sample serves all query heads: the size is that of the most demanding.
 */
final class Sample implements Selection.Stage {

    /** A pilot of fewer tokens says too little about the variance. */
    private static final int MIN_PILOT = 64;

    /** A rest below this is read whole. */
    private static final int MIN_REST = 4 * MIN_PILOT;

    private final VAttention method;
    private final KvPages pages;
    private final Attend attend;
    private final int headDim;
    private final double quantile;

    Sample(VAttention method, KvPages pages, Attend attend, int headDim) {
        this.method = method;
        this.pages = pages;
        this.attend = attend;
        this.headDim = headDim;
        quantile = Normal.quantile(1 - method.delta() / 2);
    }

    @Override
    public int begin(Selection selection) {
        return 0;
    }

    @Override
    public void part(Selection selection, int part, Scratch scratch) {}

    @Override
    public void end(Selection selection, Scratch scratch) {
        TokenList all = new TokenList();
        selection.tile().addRetained(all);
        TokenList list = selection.list();
        int[] rest = rest(all, list);
        int pageSize = selection.tile().sequence().pageSize();
        int tokens = rest.length * pageSize;
        if (tokens == 0) {
            return;
        }
        int strata = Math.min(tokens, Math.max(MIN_PILOT, (int) Math.ceil(method.pilot() * tokens)));
        Strata drawn = new Strata(tokens, strata, CounterRandom.of(method.seed(), selection.tile()));
        int perStratum = tokens < MIN_REST ? Integer.MAX_VALUE : perStratum(selection, all, rest, drawn, scratch);
        // Nearly all of a stratum is no cheaper than all of it.
        if (perStratum > drawn.smallest() / 2) {
            list.clear();
            selection.tile().addRetained(list);
            return;
        }
        add(list, all, rest, drawn, perStratum, pageSize);
    }

    /** Entries of {@code all} that are not in {@code list}; both are in the order of slots. */
    private static int[] rest(TokenList all, TokenList list) {
        int[] rest = new int[all.size() - list.size()];
        int count = 0;
        for (int e = 0, l = 0; e < all.size(); e++) {
            if (l < list.size() && list.slot(l) == all.slot(e)) {
                l++;
            } else {
                rest[count++] = e;
            }
        }
        return rest;
    }

    private void add(TokenList list, TokenList all, int[] rest, Strata strata, int perStratum, int pageSize) {
        int[] drawn = new int[perStratum];
        int page = -1;
        long mask = 0;
        float logWeight = 0;
        for (int s = 0; s < strata.count(); s++) {
            strata.draw(s, drawn);
            Arrays.sort(drawn);
            float weight = (float) Math.log((double) strata.size(s) / perStratum);
            for (int token : drawn) {
                if (token / pageSize != page || weight != logWeight) {
                    addMask(list, all, rest, page, mask, logWeight);
                    page = token / pageSize;
                    mask = 0;
                    logWeight = weight;
                }
                mask |= 1L << token % pageSize;
            }
        }
        addMask(list, all, rest, page, mask, logWeight);
    }

    private static void addMask(TokenList list, TokenList all, int[] rest, int page, long mask, float logWeight) {
        if (mask != 0) {
            list.add(all.page(rest[page]), all.slot(rest[page]), mask, logWeight, TokenList.POSITIONED);
        }
    }

    /** Tokens to draw from each stratum, for the head that needs most. */
    private int perStratum(Selection selection, TokenList all, int[] rest, Strata strata, Scratch scratch) {
        int rows = selection.rows();
        int n = strata.tokens();
        Attend.Result fixed = attend.whole(selection.tile(), selection.list(), selection.queries());
        double[] needed = new double[rows];
        float[] key = new float[headDim];
        float[] value = new float[headDim];
        int pilot = strata.count();
        float[] logits = scratch.floats(rows * pilot);
        int pageSize = selection.tile().sequence().pageSize();
        int[] first = new int[1];
        boolean numerator = method.verify() != Verify.DENOMINATOR;
        float[] values = new float[numerator ? pilot * headDim : 0];
        for (int s = 0; s < pilot; s++) {
            strata.draw(s, first);
            int page = all.page(rest[first[0] / pageSize]);
            int slot = first[0] % pageSize;
            pages.key(page, selection.tile().layer(), selection.tile().kvHead(), slot, key, 0);
            for (int r = 0; r < rows; r++) {
                float logit = 0;
                for (int i = 0; i < headDim; i++) {
                    logit += selection.queries()[r * headDim + i] * key[i];
                }
                logits[r * pilot + s] = logit;
            }
            if (numerator) {
                pages.value(page, selection.tile().layer(), selection.tile().kvHead(), slot, values, s * headDim);
            }
        }
        for (int r = 0; r < rows; r++) {
            double shift = fixed.maxima()[r];
            for (int s = 0; s < pilot; s++) {
                shift = Math.max(shift, logits[r * pilot + s]);
            }
            double scale = Math.exp(fixed.maxima()[r] - shift);
            if (method.verify() != Verify.NUMERATOR) {
                Moments sum = new Moments(1);
                for (int s = 0; s < pilot; s++) {
                    value[0] = 1;
                    sum.add(Math.exp(logits[r * pilot + s] - shift), value, 0);
                }
                double denominator = scale * fixed.sums()[r] + n * sum.mean(0);
                needed[r] = sampleSize(n, sum.variance(), method.epsilon() * denominator);
            }
            if (numerator) {
                Moments sum = new Moments(headDim);
                for (int s = 0; s < pilot; s++) {
                    sum.add(Math.exp(logits[r * pilot + s] - shift), values, s * headDim);
                }
                double squares = 0;
                for (int i = 0; i < headDim; i++) {
                    double total = scale * fixed.values()[r * headDim + i] + n * sum.mean(i);
                    squares += total * total;
                }
                needed[r] = Math.max(needed[r], sampleSize(n, sum.variance(), method.epsilon() * Math.sqrt(squares)));
            }
        }
        double most = Arrays.stream(needed).max().orElseThrow();
        return (int) Math.min(Integer.MAX_VALUE, Math.max(1, Math.ceil(most / pilot)));
    }

    /** Least sample of {@code n} tokens with which their sum is off by more than {@code tolerance} with probability δ at most. */
    private double sampleSize(int n, double variance, double tolerance) {
        double size = Math.pow(quantile * n / tolerance, 2) * variance;
        // Without replacement: drawing all of them leaves no error.
        return size / (1 + size / n);
    }

    /** Mean and variance of weighted vectors. */
    private static final class Moments {

        private final double[] sums;
        private double squares;
        private int count;

        Moments(int size) {
            sums = new double[size];
        }

        void add(double weight, float[] vector, int from) {
            for (int i = 0; i < sums.length; i++) {
                double x = weight * vector[from + i];
                sums[i] += x;
                squares += x * x;
            }
            count++;
        }

        double mean(int i) {
            return sums[i] / count;
        }

        /** Trace of the covariance. */
        double variance() {
            double meanSquare = 0;
            for (double sum : sums) {
                meanSquare += sum / count * sum;
            }
            return Math.max(0, squares - meanSquare) / (count - 1);
        }
    }
}
