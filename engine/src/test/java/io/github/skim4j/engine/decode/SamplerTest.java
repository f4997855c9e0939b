package io.github.skim4j.engine.decode;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.skim4j.engine.AttentionStats;
import io.github.skim4j.engine.SamplingParameters;
import io.github.skim4j.engine.backend.Backend.SpanResult;
import io.github.skim4j.engine.backend.Span.Logits;
import io.github.skim4j.engine.backend.TokenDraw;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class SamplerTest {

    private static final int[] NO_PROMPT = {};

    /** The next token from what a backend with these logits gives. */
    private static int next(Sampler sampler, float... logits) {
        boolean token = sampler.wantedLogits() == Logits.TOKEN;
        return sampler.next(new SpanResult(
                token ? new float[0][] : new float[][] {logits},
                token ? sampler.draw().pick(logits) : -1,
                AttentionStats.NONE));
    }

    @Test
    void greedyTakesTheHighest() {
        assertThat(next(sampler(SamplingParameters.GREEDY), 1, 3, 3, 2)).isEqualTo(1);
    }

    @Test
    void refusesLogitsThatAreAllNaN() {
        SamplingParameters penalty = new SamplingParameters(1, 0, 1, 0, 2, 0, 0, null);
        for (SamplingParameters parameters : List.of(SamplingParameters.GREEDY, penalty)) {
            assertThatThrownBy(() -> next(sampler(parameters), Float.NaN, Float.NaN))
                    .isInstanceOf(ArithmeticException.class);
        }
    }

    @Test
    void leavesTheDrawToTheBackendUnlessThereArePenalties() {
        Sampler free = sampler(new SamplingParameters(0.7, 40, 0.9, 0.05, 1, 0, 0, 5L));
        assertThat(free.wantedLogits()).isEqualTo(Logits.TOKEN);
        TokenDraw draw = free.draw();
        assertThat(draw).isEqualTo(new TokenDraw(0.7, 40, 0.9, 0.05, draw.uniform()));
        // A step that is computed anew draws the same.
        assertThat(free.draw()).isEqualTo(draw);
        next(free, 1, 2, 3);
        assertThat(free.draw().uniform()).isNotEqualTo(draw.uniform());
        for (double[] penalties : new double[][] {{2, 0, 0}, {1, 1, 0}, {1, 0, 1}}) {
            Sampler penalizing =
                    sampler(new SamplingParameters(0.7, 0, 1, 0, penalties[0], penalties[1], penalties[2], null));
            assertThat(penalizing.wantedLogits()).isEqualTo(Logits.LAST);
            assertThat(penalizing.draw()).isNull();
        }
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

    @Test
    void repetitionPenaltyActsOnPromptAndOutput() {
        SamplingParameters parameters = new SamplingParameters(0, 0, 1, 0, 2, 0, 0, null);
        Sampler sampler = new Sampler(parameters, new int[] {0, 0, 3});
        // 0: 4/2 = 2, 3: -1*2 = -2
        float[] logits = {4, 3, 1, -1};
        assertThat(next(sampler, logits)).isEqualTo(1);
        assertThat(logits).containsExactly(2, 3, 1, -2);
        // Now 1 as well, and prompt tokens are not punished twice.
        logits = new float[] {4, 3, 1, -1};
        assertThat(next(sampler, logits)).isEqualTo(0);
        assertThat(logits).containsExactly(2, 1.5f, 1, -2);
        logits = new float[] {4, 3, 1, -1};
        next(sampler, logits);
        assertThat(logits).containsExactly(2, 1.5f, 1, -2);
    }

    @Test
    void frequencyAndPresencePenaltiesCountTheOutput() {
        Sampler sampler = new Sampler(new SamplingParameters(0, 0, 1, 0, 1, 0.5, 0.25, null), new int[] {2});
        assertThat(next(sampler, 5, 0, 0)).isEqualTo(0);
        assertThat(next(sampler, 5, 0, 0)).isEqualTo(0);
        float[] logits = {5, 0, 0};
        next(sampler, logits);
        assertThat(logits).containsExactly(5 - 2 * 0.5f - 0.25f, 0, 0);
    }

    private static Sampler sampler(SamplingParameters parameters) {
        return new Sampler(parameters, NO_PROMPT);
    }

    private static int[] draws(SamplingParameters parameters, float[] logits, int count) {
        Sampler sampler = sampler(parameters);
        return IntStream.range(0, count).map(i -> next(sampler, logits.clone())).toArray();
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
}
