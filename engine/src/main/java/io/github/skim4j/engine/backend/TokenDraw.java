package io.github.skim4j.engine.backend;

import java.util.Arrays;

/**
 * How the token after a span is picked from the logits, on the device that computes them. Applied in this order: temperature, top-k,
 * top-p, min-p, draw. Among equally probable tokens the filters keep lower ids first. The token drawn is the first, in the order of
 * ids, up to which the tokens kept have more than {@code uniform} of their mass; it depends on nothing else, so that the same random
 * numbers give the same text on one device whatever else runs there. Logits that are not finite are never drawn.
 *
 * @param temperature 0 picks the token of the highest logit, the lower id among equals; otherwise logits are divided by it
 * @param topK keep the k most probable tokens; 0 keeps all
 * @param topP keep the fewest most probable tokens whose mass reaches this share of what top-k kept; 1 keeps all
 * @param minP drop tokens less probable than this share of the most probable one; 0 drops none
 * @param uniform random number in [0, 1)
 */
public record TokenDraw(double temperature, int topK, double topP, double minP, double uniform) {

    /** Picks the token of the highest logit. */
    public static final TokenDraw GREEDY = new TokenDraw(0, 0, 1, 0, 0);

    public TokenDraw {
        if (!(uniform >= 0 && uniform < 1)) {
            throw new IllegalArgumentException("uniform must be at least 0 and below 1, but is " + uniform);
        }
    }

    /**
     * Picks a token.
     *
     * @param logits one a token of the vocabulary
     * @return its id; -1 if no logit is finite
     */
    public int pick(float[] logits) {
        int best = best(logits);
        if (best < 0 || temperature == 0) {
            return best;
        }
        float max = logits[best];
        float[] weights = new float[logits.length];
        for (int i = 0; i < weights.length; i++) {
            weights[i] = Float.isFinite(logits[i]) ? (float) Math.exp((logits[i] - max) / temperature) : 0;
        }
        if (topK > 0 && topK < weights.length) {
            keepFirst(weights, logits, max, topK, Double.POSITIVE_INFINITY);
        }
        if (topP < 1) {
            keepFirst(weights, logits, max, weights.length, topP * sum(weights));
        }
        double sum = 0;
        for (int i = 0; i < weights.length; i++) {
            // The weight of the most probable token is 1.
            weights[i] = weights[i] < minP ? 0 : weights[i];
            sum += weights[i];
        }
        return tokenAt(weights, uniform * sum);
    }

    private static int best(float[] logits) {
        int best = -1;
        float bestLogit = Float.NEGATIVE_INFINITY;
        for (int i = 0; i < logits.length; i++) {
            if (logits[i] > bestLogit && logits[i] < Float.POSITIVE_INFINITY) {
                bestLogit = logits[i];
                best = i;
            }
        }
        return best;
    }

    private static double sum(float[] weights) {
        double sum = 0;
        for (float weight : weights) {
            sum += weight;
        }
        return sum;
    }

    /**
     * Sets all weights to 0 but the first, in the order of probability, that are {@code most} or reach {@code mass}. Lowers a threshold
     * until enough lies above it and sorts only that: the tail of a vocabulary is long and almost never needed.
     */
    private static void keepFirst(float[] weights, float[] logits, float max, int most, double mass) {
        float least = 1 / 64f;
        while (least > 0 && !isEnough(weights, least, most, mass)) {
            least = least < Float.MIN_NORMAL ? 0 : least / 64;
        }
        long[] sorted = sorted(weights, logits, max, least);
        float[] all = weights.clone();
        Arrays.fill(weights, 0);
        double reached = 0;
        for (int i = 0; i < sorted.length && i < most && reached < mass; i++) {
            int token = (int) sorted[i];
            weights[token] = all[token];
            reached += all[token];
        }
    }

    private static boolean isEnough(float[] weights, float least, int most, double mass) {
        double above = 0;
        int count = 0;
        for (float weight : weights) {
            if (weight >= least) {
                above += weight;
                count++;
            }
        }
        return count >= most || above >= mass;
    }

    /** Tokens of weight {@code least} or more, most probable first, their ids in the low halves. */
    private static long[] sorted(float[] weights, float[] logits, float max, float least) {
        long[] keys = new long[weights.length];
        int count = 0;
        for (int i = 0; i < weights.length; i++) {
            if (weights[i] >= least && weights[i] > 0) {
                // By distance, since weights are rounded more. It is not negative, so that the order of its bits is its
                // order.
                keys[count++] = (long) Float.floatToRawIntBits(Math.abs(max - logits[i])) << 32 | i;
            }
        }
        Arrays.sort(keys, 0, count);
        return Arrays.copyOf(keys, count);
    }

    /** The first token up to which the weights sum up to more than {@code target}. */
    private static int tokenAt(float[] weights, double target) {
        double sum = 0;
        int last = -1;
        for (int i = 0; i < weights.length && sum <= target; i++) {
            if (weights[i] > 0) {
                sum += weights[i];
                last = i;
            }
        }
        return last;
    }
}
