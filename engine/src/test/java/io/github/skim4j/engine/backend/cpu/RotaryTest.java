package io.github.skim4j.engine.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.offset;
import static org.assertj.core.api.Assertions.withinPercentage;

import io.github.skim4j.engine.model.Rope;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class RotaryTest {

    private static final int HEAD_DIM = 64;

    /** Pairs whose frequencies are compared. */
    private static final int[] PAIRS = {0, 5, 12, 20, 31};

    /** @param frequencies of {@link #PAIRS}, from transformers' {@code ROPE_INIT_FUNCTIONS} with theta 10,000 */
    record Golden(Rope.Scaling scaling, int length, double... frequencies) {}

    static List<Golden> goldens() {
        return List.of(
                new Golden(new Rope.Linear(4), 0, 0.25, 0.05928434, 0.0079056947, 0.00079056947, 3.3338038e-05),
                new Golden(new Rope.Dynamic(2, 2048), 6000, 1, 0.18376434, 0.017148532, 0.0011403677, 2.7442242e-05),
                new Golden(new Rope.Dynamic(2, 2048), 1000, 1, 0.23713736, 0.031622779, 0.0031622779, 0.00013335215),
                new Golden(
                        new Rope.Yarn(4, 2048, 32, 1, 1.138629436, true),
                        0,
                        1,
                        0.23713736,
                        0.024325214,
                        0.00097300857,
                        3.3338038e-05),
                new Golden(
                        new Rope.Llama3(8, 1, 4, 2048), 0, 1, 0.23713736, 0.031622779, 0.00042363931, 1.6669019e-05));
    }

    @ParameterizedTest
    @MethodSource("goldens")
    void scalesFrequenciesAsTransformersDoes(Golden golden) {
        Rotary rotary = new Rotary(new Rope(10_000, golden.scaling(), false), HEAD_DIM);
        double[] frequencies = rotary.frequenciesFor(golden.length());
        for (int i = 0; i < PAIRS.length; i++) {
            assertThat(frequencies[PAIRS[i]]).isCloseTo(golden.frequencies()[i], withinPercentage(1e-4));
        }
    }

    @Test
    void yarnMultipliesCosAndSin() {
        Rotary rotary = new Rotary(new Rope(10_000, new Rope.Yarn(4, 2048, 32, 1, 1.5, true), false), HEAD_DIM);
        float[] cos = new float[32];
        float[] sin = new float[32];
        rotary.angles(rotary.frequenciesFor(0), 3, cos, sin, 0);
        assertThat(cos[0]).isCloseTo((float) (1.5 * Math.cos(3)), offset(1e-6f));
        assertThat(sin[0]).isCloseTo((float) (1.5 * Math.sin(3)), offset(1e-6f));
    }

    @Test
    void scoresDependOnTheDistanceAlone() {
        Random random = new Random(1);
        for (boolean interleaved : new boolean[] {false, true}) {
            Rotary rotary = new Rotary(new Rope(10_000, new Rope.None(), interleaved), HEAD_DIM);
            float[] query = new float[HEAD_DIM];
            float[] key = new float[HEAD_DIM];
            for (int i = 0; i < HEAD_DIM; i++) {
                query[i] = (float) random.nextGaussian();
                key[i] = (float) random.nextGaussian();
            }
            double near = score(rotary, query, 40, key, 13);
            assertThat(score(rotary, query, 2040, key, 2013)).isCloseTo(near, offset(1e-4));
            assertThat(score(rotary, query, 41, key, 13)).isNotCloseTo(near, offset(1e-2));
        }
    }

    private static double score(Rotary rotary, float[] query, int queryPosition, float[] key, int keyPosition) {
        float[] q = rotated(rotary, query, queryPosition);
        float[] k = rotated(rotary, key, keyPosition);
        double score = 0;
        for (int i = 0; i < HEAD_DIM; i++) {
            score += q[i] * k[i];
        }
        return score;
    }

    private static float[] rotated(Rotary rotary, float[] head, int position) {
        float[] cos = new float[HEAD_DIM / 2];
        float[] sin = new float[HEAD_DIM / 2];
        rotary.angles(rotary.frequenciesFor(0), position, cos, sin, 0);
        float[] result = new float[HEAD_DIM];
        rotary.rotate(head, 0, result, 0, cos, sin, 0);
        return result;
    }
}
