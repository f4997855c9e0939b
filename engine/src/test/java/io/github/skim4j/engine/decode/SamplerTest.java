package io.github.skim4j.engine.decode;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.skim4j.engine.SamplingParameters;
import io.github.skim4j.engine.backend.Backend.SpanResult;
import java.util.Arrays;
import java.util.Comparator;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.Test;

class SamplerTest {

    private static final int[] NO_PROMPT = {};

    @Test
    void greedyTakesTheHighestAndTheLowerIdAmongEquals() {
        assertThat(sampler(SamplingParameters.GREEDY).next(new float[] {1, 3, 3, 2}))
                .isEqualTo(1);
    }

    @Test
    void greedyRefusesLogitsThatAreAllNaN() {
        assertThatThrownBy(() -> sampler(SamplingParameters.GREEDY).next(new float[] {Float.NaN, Float.NaN}))
                .isInstanceOf(ArithmeticException.class);
    }

    @Test
    void sameSeedSameTokens() {
        float[] logits = random(new Random(1), 500, 2);
        SamplingParameters parameters = new SamplingParameters(1, 0, 0.95, 0, 1, 0, 0, 42L);
        assertThat(draws(parameters, logits, 50)).isEqualTo(draws(parameters, logits, 50));
        assertThat(draws(parameters, logits, 50))
                .isNotEqualTo(draws(new SamplingParameters(1, 0, 0.95, 0, 1, 0, 0, 43L), logits, 50));
    }

    @Test
    void frequenciesFollowTheSoftmax() {
        float[] logits = {0, 1, 2, 3};
        double[] expected = softmax(logits, 0.7);
        int[] counts = new int[4];
        for (int token : draws(new SamplingParameters(0.7, 0, 1, 0, 1, 0, 0, 7L), logits, 40_000)) {
            counts[token]++;
        }
        for (int i = 0; i < 4; i++) {
            // Four standard deviations of a binomial share.
            double slack = 4 * Math.sqrt(expected[i] * (1 - expected[i]) / 40_000);
            assertThat(counts[i] / 40_000.0).isBetween(expected[i] - slack, expected[i] + slack);
        }
    }

    @RepeatedTest(50)
    void drawsOnlyWhatTheFiltersKeep() {
        long seed = System.nanoTime();
        Random random = new Random(seed);
        int n = 2 + random.nextInt(300);
        float[] logits = random(random, n, 1 + 4 * random.nextFloat());
        int topK = random.nextBoolean() ? 0 : 1 + random.nextInt(n + 3);
        double topP = random.nextBoolean() ? 1 : 0.05 + 0.9 * random.nextDouble();
        double minP = random.nextBoolean() ? 0 : 0.2 * random.nextDouble();
        double temperature = 0.3 + random.nextDouble();
        boolean[] allowed = allowed(logits, temperature, topK, topP, minP);
        SamplingParameters parameters = new SamplingParameters(temperature, topK, topP, minP, 1, 0, 0, seed);
        boolean[] drawn = new boolean[n];
        for (int token : draws(parameters, logits, 3000)) {
            drawn[token] = true;
            assertThat(allowed[token])
                    .as("token %s, %s, seed %s", token, parameters, seed)
                    .isTrue();
        }
        int best = SpanResult.best(logits);
        assertThat(drawn[best])
                .as("the most probable token is drawn, seed %s", seed)
                .isTrue();
    }

    @Test
    void repetitionPenaltyActsOnPromptAndOutput() {
        SamplingParameters parameters = new SamplingParameters(0, 0, 1, 0, 2, 0, 0, null);
        Sampler sampler = new Sampler(parameters, new int[] {0, 0, 3});
        // 0: 4/2 = 2, 3: -1*2 = -2
        float[] logits = {4, 3, 1, -1};
        assertThat(sampler.next(logits)).isEqualTo(1);
        assertThat(logits).containsExactly(2, 3, 1, -2);
        // Now 1 as well, and prompt tokens are not punished twice.
        logits = new float[] {4, 3, 1, -1};
        assertThat(sampler.next(logits)).isEqualTo(0);
        assertThat(logits).containsExactly(2, 1.5f, 1, -2);
        logits = new float[] {4, 3, 1, -1};
        sampler.next(logits);
        assertThat(logits).containsExactly(2, 1.5f, 1, -2);
    }

    @Test
    void frequencyAndPresencePenaltiesCountTheOutput() {
        Sampler sampler = new Sampler(new SamplingParameters(0, 0, 1, 0, 1, 0.5, 0.25, null), new int[] {2});
        assertThat(sampler.next(new float[] {5, 0, 0})).isEqualTo(0);
        assertThat(sampler.next(new float[] {5, 0, 0})).isEqualTo(0);
        float[] logits = {5, 0, 0};
        sampler.next(logits);
        assertThat(logits).containsExactly(5 - 2 * 0.5f - 0.25f, 0, 0);
    }

    private static Sampler sampler(SamplingParameters parameters) {
        return new Sampler(parameters, NO_PROMPT);
    }

    private static int[] draws(SamplingParameters parameters, float[] logits, int count) {
        Sampler sampler = sampler(parameters);
        return IntStream.range(0, count).map(i -> sampler.next(logits.clone())).toArray();
    }

    private static float[] random(Random random, int n, float scale) {
        float[] logits = new float[n];
        for (int i = 0; i < n; i++) {
            logits[i] = scale * (float) random.nextGaussian();
        }
        return logits;
    }

    private static double[] softmax(float[] logits, double temperature) {
        double[] p = IntStream.range(0, logits.length)
                .mapToDouble(i -> Math.exp(logits[i] / temperature))
                .toArray();
        double sum = Arrays.stream(p).sum();
        return Arrays.stream(p).map(x -> x / sum).toArray();
    }

    /** The filters as their definitions read, in double, with slack at each border for the sampler's floats. */
    private static boolean[] allowed(float[] logits, double temperature, int topK, double topP, double minP) {
        int n = logits.length;
        double[] p = softmax(logits, temperature);
        int[] order = IntStream.range(0, n)
                .boxed()
                .sorted(Comparator.comparingDouble(i -> -p[i]))
                .mapToInt(Integer::intValue)
                .toArray();
        int kept = topK == 0 ? n : Math.min(topK, n);
        double mass = Arrays.stream(order).limit(kept).mapToDouble(i -> p[i]).sum();
        boolean[] allowed = new boolean[n];
        double before = 0;
        for (int i = 0; i < kept && before < topP * mass + 1e-5; i++) {
            int token = order[i];
            before += p[token];
            allowed[token] = p[token] >= minP * p[order[0]] - 1e-6;
        }
        return allowed;
    }
}
