package io.github.skim4j.engine.backend;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.Test;

class TokenDrawTest {

    private static int pick(double temperature, int topK, double topP, double minP, double uniform, float... logits) {
        return new TokenDraw(temperature, topK, topP, minP, uniform).pick(logits);
    }

    /** Tokens drawn as the random number goes from 0 to 1. */
    private static List<Integer> sweep(int topK, double topP, double minP, float... logits) {
        return DoubleStream.iterate(0, u -> u < 1, u -> u + 1 / 1024.0)
                .mapToObj(u -> pick(1, topK, topP, minP, u, logits))
                .distinct()
                .toList();
    }

    @Test
    void greedyTakesTheHighestAndTheLowerIdAmongEquals() {
        assertThat(TokenDraw.GREEDY.pick(new float[] {1, 3, 3, 2})).isEqualTo(1);
    }

    @Test
    void logitsThatAreNotFiniteAreNeverDrawn() {
        float[] logits = {Float.NaN, Float.NEGATIVE_INFINITY, 2, Float.POSITIVE_INFINITY, Float.NaN, 1};
        assertThat(TokenDraw.GREEDY.pick(logits)).isEqualTo(2);
        assertThat(sweep(0, 1, 0, logits)).containsExactly(2, 5);
        assertThat(sweep(3, 1, 0, logits)).containsExactly(2, 5);
        assertThat(sweep(0, 0.99, 0, logits)).containsExactly(2, 5);
    }

    @Test
    void picksNothingWhereNoLogitIsFinite() {
        float[] logits = {Float.NaN, Float.NEGATIVE_INFINITY, Float.POSITIVE_INFINITY};
        assertThat(TokenDraw.GREEDY.pick(logits)).isEqualTo(-1);
        assertThat(pick(1, 2, 0.9, 0.1, 0.5, logits)).isEqualTo(-1);
    }

    @Test
    void goesThroughTheTokensInTheOrderOfTheirIds() {
        float[] logits = {(float) Math.log(1), (float) Math.log(4), (float) Math.log(3)};
        assertThat(pick(1, 0, 1, 0, 0, logits)).isZero();
        assertThat(pick(1, 0, 1, 0, 0.124, logits)).isZero();
        assertThat(pick(1, 0, 1, 0, 0.126, logits)).isEqualTo(1);
        assertThat(pick(1, 0, 1, 0, 0.624, logits)).isEqualTo(1);
        assertThat(pick(1, 0, 1, 0, 0.626, logits)).isEqualTo(2);
        assertThat(pick(1, 0, 1, 0, Math.nextDown(1.0), logits)).isEqualTo(2);
    }

    @Test
    void filtersKeepTheLowerIdsAmongEquals() {
        float[] equal = {1, 5, 5, 5, 5, 2};
        assertThat(sweep(2, 1, 0, equal)).containsExactly(1, 2);
        assertThat(sweep(0, 0.6, 0, equal)).containsExactly(1, 2, 3);
        assertThat(sweep(3, 0.6, 0, equal)).containsExactly(1, 2);
    }

    @Test
    void topPCountsTheMassThatTopKLeft() {
        // Shares 0.4, 0.3, 0.2, 0.1; of the first two 0.57 and 0.43.
        float[] logits = {(float) Math.log(4), (float) Math.log(3), (float) Math.log(2), 0};
        assertThat(sweep(0, 0.5, 0, logits)).containsExactly(0, 1);
        assertThat(sweep(2, 0.5, 0, logits)).containsExactly(0);
    }

    @Test
    void minPCountsFromTheMostProbable() {
        float[] logits = {(float) Math.log(4), (float) Math.log(3), (float) Math.log(2), 0};
        assertThat(sweep(0, 1, 0.45, logits)).containsExactly(0, 1, 2);
        assertThat(sweep(2, 1, 0.45, logits)).containsExactly(0, 1);
    }

    @Test
    void extremeTemperaturesAreFine() {
        float[] logits = {1, 1.5f, 1.25f};
        assertThat(pick(Double.MIN_VALUE, 0, 1, 0, 0.99, logits)).isEqualTo(1);
        assertThat(pick(100, 0, 1, 0, 0.99, logits)).isEqualTo(2);
    }

    @Test
    void refusesRandomNumbersOutsideTheirRange() {
        for (double uniform : new double[] {-0.1, 1, Double.NaN}) {
            assertThatThrownBy(() -> new TokenDraw(1, 0, 1, 0, uniform)).isInstanceOf(IllegalArgumentException.class);
        }
    }

    /** Against the definition, with every token sorted and in double: the random number falls into the token's share. */
    @RepeatedTest(300)
    void drawsWhatASortedReferenceDraws() {
        long seed = System.nanoTime();
        Random random = new Random(seed);
        int n = 1 + random.nextInt(random.nextInt(10) == 0 ? 5000 : 200);
        float[] logits = new float[n];
        boolean coarse = random.nextBoolean();
        double scale = 0.1 + 5 * random.nextDouble();
        for (int i = 0; i < n; i++) {
            double logit = scale * random.nextGaussian();
            logits[i] = random.nextInt(20) == 0 ? Float.NEGATIVE_INFINITY : (float) (coarse ? Math.rint(logit) : logit);
        }
        double uniform = random.nextDouble();
        TokenDraw draw = new TokenDraw(
                0.05 + 2 * random.nextDouble(),
                random.nextBoolean() ? 0 : 1 + random.nextInt(n + 3),
                random.nextBoolean() ? 1 : 0.01 + 0.98 * random.nextDouble(),
                random.nextBoolean() ? 0 : 0.3 * random.nextDouble(),
                uniform);
        int token = draw.pick(logits);
        List<Integer> kept = kept(draw, logits);
        if (kept.isEmpty()) {
            assertThat(token).isEqualTo(-1);
            return;
        }
        String what = "seed " + seed + ", " + draw + ", token " + token;
        assertThat(kept).as(what).contains(token);
        double[] weights = weights(draw, logits);
        double all = kept.stream().mapToDouble(i -> weights[i]).sum();
        double below = kept.stream()
                .filter(i -> i < token)
                .mapToDouble(i -> weights[i])
                .sum();
        assertThat(below / all).as(what).isLessThanOrEqualTo(uniform + 1e-5);
        assertThat((below + weights[token]) / all).as(what).isGreaterThan(uniform - 1e-5);
    }

    private static double[] weights(TokenDraw draw, float[] logits) {
        double max = IntStream.range(0, logits.length)
                .mapToDouble(i -> logits[i])
                .max()
                .orElseThrow();
        return IntStream.range(0, logits.length)
                .mapToDouble(i -> Math.exp((logits[i] - max) / draw.temperature()))
                .toArray();
    }

    private static List<Integer> kept(TokenDraw draw, float[] logits) {
        double[] weights = weights(draw, logits);
        List<Integer> order = new ArrayList<>(IntStream.range(0, logits.length)
                .filter(i -> Float.isFinite(logits[i]))
                .boxed()
                .sorted(Comparator.comparing((Integer i) -> 0 - logits[i]))
                .toList());
        int count = draw.topK() == 0 ? order.size() : Math.min(draw.topK(), order.size());
        double mass = order.stream().limit(count).mapToDouble(i -> weights[i]).sum();
        List<Integer> kept = new ArrayList<>();
        double before = 0;
        for (int i = 0; i < count && (draw.topP() == 1 || before < draw.topP() * mass); i++) {
            int token = order.get(i);
            before += weights[token];
            if (weights[token] >= draw.minP()) {
                kept.add(token);
            }
        }
        return kept;
    }

    @Test
    void leavesTheLogitsAsTheyAre() {
        float[] logits = {1, 2, 3};
        float[] before = Arrays.copyOf(logits, 3);
        pick(0.7, 2, 0.9, 0.1, 0.3, logits);
        assertThat(logits).containsExactly(before);
    }
}
