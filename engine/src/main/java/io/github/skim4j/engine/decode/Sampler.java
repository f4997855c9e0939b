package io.github.skim4j.engine.decode;

import io.github.skim4j.engine.SamplingParameters;
import io.github.skim4j.engine.backend.Backend.SpanResult;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.SplittableRandom;

/**
 * Draws one request's tokens. Counts what it draws, for the penalties, and has its own random numbers, so that a seed gives the
 * same text whatever else runs in the batch.
 */
final class Sampler {

    private final SamplingParameters parameters;
    private final SplittableRandom random;
    private final Map<Integer, Integer> outputCounts = new HashMap<>();
    private final int[] promptTokens;

    /** Weights of the candidates during a draw, and their ids; reused. */
    private float[] weights = new float[0];

    Sampler(SamplingParameters parameters, int[] prompt) {
        this.parameters = parameters;
        this.random = parameters.seed() == null ? new SplittableRandom() : new SplittableRandom(parameters.seed());
        this.promptTokens = parameters.repetitionPenalty() == 1
                ? new int[0]
                : Arrays.stream(prompt).distinct().toArray();
    }

    /** Whether the highest logit alone decides, so that a backend may pick the token. */
    boolean takesBest() {
        return parameters.temperature() == 0
                && parameters.repetitionPenalty() == 1
                && parameters.frequencyPenalty() == 0
                && parameters.presencePenalty() == 0;
    }

    /** Picks the next token by what a backend gave for {@link #takesBest} or, with its logits, which the penalties change. */
    int next(SpanResult result) {
        return takesBest() ? checked(result.best()) : next(result.logits()[0]);
    }

    /**
     * Picks the next token.
     *
     * @param logits one a token of the vocabulary; changed by the penalties
     */
    int next(float[] logits) {
        applyPenalties(logits);
        int token = parameters.temperature() == 0 ? argmax(logits) : draw(logits);
        outputCounts.merge(token, 1, Integer::sum);
        return token;
    }

    private void applyPenalties(float[] logits) {
        double repetition = parameters.repetitionPenalty();
        if (repetition != 1) {
            for (int token : promptTokens) {
                if (!outputCounts.containsKey(token)) {
                    logits[token] = repeated(logits[token], repetition);
                }
            }
        }
        for (Map.Entry<Integer, Integer> seen : outputCounts.entrySet()) {
            int token = seen.getKey();
            logits[token] = (float) (repeated(logits[token], repetition)
                    - parameters.frequencyPenalty() * seen.getValue()
                    - parameters.presencePenalty());
        }
    }

    private static float repeated(float logit, double penalty) {
        return (float) (logit > 0 ? logit / penalty : logit * penalty);
    }

    /** @throws ArithmeticException if no logit is a number above -∞ */
    private static int argmax(float[] logits) {
        return checked(SpanResult.best(logits));
    }

    private static int checked(int best) {
        if (best < 0) {
            throw new ArithmeticException("the model gave no finite logit");
        }
        return best;
    }

    private int draw(float[] logits) {
        int n = logits.length;
        float max = logits[argmax(logits)];
        if (weights.length < n) {
            weights = new float[n];
        }
        for (int i = 0; i < n; i++) {
            weights[i] = (float) Math.exp((logits[i] - max) / parameters.temperature());
        }
        boolean topK = parameters.topK() > 0 && parameters.topK() < n;
        if (!topK && parameters.topP() == 1) {
            return drawUnsorted(n);
        }
        int[] candidates = topK ? mostProbable(n, parameters.topK()) : nucleus(n, parameters.topP());
        int kept = candidates.length;
        if (topK) {
            kept = prefixOfMass(candidates, parameters.topP());
        }
        double threshold = parameters.minP() * weights[candidates[0]];
        while (kept > 1 && weights[candidates[kept - 1]] < threshold) {
            kept--;
        }
        double sum = 0;
        for (int i = 0; i < kept; i++) {
            sum += weights[candidates[i]];
        }
        double target = random.nextDouble() * sum;
        for (int i = 0; i < kept - 1; i++) {
            target -= weights[candidates[i]];
            if (target < 0) {
                return candidates[i];
            }
        }
        return candidates[kept - 1];
    }

    /** Min-p alone needs no order: the highest weight is 1. */
    private int drawUnsorted(int n) {
        double sum = 0;
        for (int i = 0; i < n; i++) {
            sum += weights[i] >= parameters.minP() ? weights[i] : 0;
        }
        double target = random.nextDouble() * sum;
        int last = -1;
        for (int i = 0; i < n; i++) {
            if (weights[i] >= parameters.minP() && weights[i] > 0) {
                last = i;
                target -= weights[i];
                if (target < 0) {
                    break;
                }
            }
        }
        return last;
    }

    /** Length of the shortest prefix of {@code sorted} that holds {@code share} of its mass. */
    private int prefixOfMass(int[] sorted, double share) {
        double total = 0;
        for (int token : sorted) {
            total += weights[token];
        }
        double mass = 0;
        for (int i = 0; i < sorted.length; i++) {
            mass += weights[sorted[i]];
            if (mass >= share * total) {
                return i + 1;
            }
        }
        return sorted.length;
    }

    /**
     * The fewest most probable tokens with {@code share} of the mass, in descending order. Lowers a threshold until enough mass lies
     * above it and sorts only those tokens: the tail of a vocabulary is long and almost never needed.
     */
    private int[] nucleus(int n, double share) {
        double total = 0;
        for (int i = 0; i < n; i++) {
            total += weights[i];
        }
        for (float threshold = 1 / 64f; ; threshold = threshold < Float.MIN_NORMAL ? 0 : threshold / 64) {
            double mass = 0;
            int count = 0;
            for (int i = 0; i < n; i++) {
                if (weights[i] >= threshold) {
                    mass += weights[i];
                    count++;
                }
            }
            if (mass >= share * total || threshold == 0) {
                int[] sorted = sortedAbove(n, threshold, count);
                double needed = share * total;
                double reached = 0;
                int kept = 0;
                while (kept < sorted.length && (kept == 0 || reached < needed)) {
                    reached += weights[sorted[kept++]];
                }
                return Arrays.copyOf(sorted, kept);
            }
        }
    }

    private int[] mostProbable(int n, int k) {
        float[] ordered = Arrays.copyOf(weights, n);
        Arrays.sort(ordered);
        float threshold = ordered[n - k];
        int count = 0;
        for (int i = 0; i < n; i++) {
            count += weights[i] >= threshold ? 1 : 0;
        }
        return Arrays.copyOf(sortedAbove(n, threshold, count), k);
    }

    /** Ids of weights at or above {@code threshold}, descending by weight, ascending by id among equals. */
    private int[] sortedAbove(int n, float threshold, int count) {
        // Weights are not negative, so the order of their bits is their order.
        long[] keys = new long[count];
        int k = 0;
        for (int i = 0; i < n && k < count; i++) {
            if (weights[i] >= threshold) {
                keys[k++] = (long) ~Float.floatToIntBits(weights[i]) << 32 | i;
            }
        }
        Arrays.sort(keys);
        int[] ids = new int[count];
        for (int i = 0; i < count; i++) {
            ids[i] = (int) keys[i];
        }
        return ids;
    }
}
