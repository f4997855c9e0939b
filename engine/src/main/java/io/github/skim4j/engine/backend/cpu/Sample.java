package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.attention.VAttention;
import io.github.skim4j.engine.attention.VAttention.Verify;
import io.github.skim4j.engine.backend.cpu.Selection.Scratch;
import java.util.Arrays;

/**
 * Adds a uniform sample of the tokens that are not on the list, with the weight of those that each stands for (vAttention, arXiv 2510.05688,
 * section 4). The rest is cut into strata of equal size; a pilot of one token each tells how much the rest varies and hence how many more of each
 * stratum it takes, drawn without replacement. One sample serves all query heads: the size is that of the most demanding. The promise is as
 * good as the pilot: the selector must have found the tokens that are so heavy, and so few, that a pilot can miss them all.
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
        quantile = method.quantile();
    }

    @Override
    public int begin(Selection selection) {
        return 0;
    }

    @Override
    public void end(Selection selection, Scratch scratch) {
        TokenList all = selection.retained();
        TokenList list = selection.list();
        int[] rest = rest(all, list);
        int pageSize = selection.tile().sequence().pageSize();
        int tokens = rest.length * pageSize;
        if (tokens == 0) {
            return;
        }
        int strata = Math.min(tokens, Math.max(MIN_PILOT, (int) Math.ceil(method.pilot() * tokens)));
        Strata drawn = new Strata(tokens, strata, selection.tile().random(method.seed()));
        int perStratum = tokens < MIN_REST ? Integer.MAX_VALUE : perStratum(selection, all, rest, drawn, scratch);
        // Nearly all of a stratum is no cheaper than all of it.
        if (perStratum > drawn.smallest() / 2) {
            selection.readAll();
            return;
        }
        TokenList sampled = selection.beginList();
        for (int e = 0; e < list.size(); e++) {
            sampled.add(list, e, list.mask(e));
        }
        add(sampled, all, rest, drawn, perStratum, pageSize);
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
        long visible = mask == 0 ? 0 : mask & all.mask(rest[page]);
        if (visible != 0) {
            list.add(all.page(rest[page]), all.slot(rest[page]), visible, logWeight, TokenList.POSITIONED);
        }
    }

    /** Tokens to draw from each stratum, for the head that needs most. */
    private int perStratum(Selection selection, TokenList all, int[] rest, Strata strata, Scratch scratch) {
        int rows = selection.rows();
        int n = strata.tokens();
        Attend.Result fixed = attend.whole(selection.tile(), selection.list(), selection.queries());
        double[] needed = new double[rows];
        float[] key = new float[headDim];
        int pilot = strata.count();
        float[] logits = scratch.floats(rows * pilot);
        int pageSize = selection.tile().sequence().pageSize();
        int[] first = new int[1];
        boolean numerator = method.verify() != Verify.DENOMINATOR;
        float[] values = new float[numerator ? pilot * headDim : 0];
        for (int s = 0; s < pilot; s++) {
            strata.draw(s, first);
            int entry = rest[first[0] / pageSize];
            int page = all.page(entry);
            int slot = first[0] % pageSize;
            boolean visible = (all.mask(entry) >>> slot & 1) != 0;
            pages.key(page, selection.tile().layer(), selection.tile().kvHead(), slot, key, 0);
            for (int r = 0; r < rows; r++) {
                float logit = 0;
                for (int i = 0; i < headDim; i++) {
                    logit += selection.queries()[r * headDim + i] * key[i];
                }
                logits[r * pilot + s] = visible ? logit : Float.NEGATIVE_INFINITY;
            }
            if (numerator) {
                pages.value(page, selection.tile().layer(), selection.tile().kvHead(), slot, values, s * headDim);
            }
        }
        float[] ones = new float[pilot];
        Arrays.fill(ones, 1);
        double[] weights = new double[pilot];
        for (int r = 0; r < rows; r++) {
            double shift = fixed.maxima()[r];
            for (int s = 0; s < pilot; s++) {
                shift = Math.max(shift, logits[r * pilot + s]);
            }
            for (int s = 0; s < pilot; s++) {
                weights[s] = Math.exp(logits[r * pilot + s] - shift);
            }
            double scale = Math.exp(fixed.maxima()[r] - shift);
            if (method.verify() != Verify.NUMERATOR) {
                Spread spread = Spread.of(weights, ones, 1);
                double denominator = scale * fixed.sums()[r] + n * spread.mean[0];
                needed[r] = sampleSize(n, spread.variance, method.epsilon() * denominator);
            }
            if (numerator) {
                Spread spread = Spread.of(weights, values, headDim);
                double squares = 0;
                for (int i = 0; i < headDim; i++) {
                    double total = scale * fixed.values()[r * headDim + i] + n * spread.mean[i];
                    squares += total * total;
                }
                needed[r] = Math.max(needed[r], sampleSize(n, spread.variance, method.epsilon() * Math.sqrt(squares)));
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

    /**
     * What a pilot says of weighted vectors.
     *
     * @param variance trace of the covariance and one standard error of it: of weights with a long tail a pilot shows too little more
     *     often than too much
     */
    private record Spread(double[] mean, double variance) {

        /** @param vectors [weights][size] */
        static Spread of(double[] weights, float[] vectors, int size) {
            int count = weights.length;
            double[] mean = new double[size];
            for (int s = 0; s < count; s++) {
                for (int i = 0; i < size; i++) {
                    mean[i] += weights[s] * vectors[s * size + i] / count;
                }
            }
            double sum = 0;
            double squares = 0;
            for (int s = 0; s < count; s++) {
                double distance = 0;
                for (int i = 0; i < size; i++) {
                    double difference = weights[s] * vectors[s * size + i] - mean[i];
                    distance += difference * difference;
                }
                sum += distance;
                squares += distance * distance;
            }
            double variance = sum / (count - 1);
            double error = Math.sqrt(Math.max(0, squares - sum / count * sum)) / (count - 1);
            return new Spread(mean, variance + error);
        }
    }
}
