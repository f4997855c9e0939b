package io.github.skim4j.engine.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.skim4j.engine.model.HalfFloats;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Runs of pages, of which each kernel must find the places, and the two implementations against each other. */
class SelectionKernelsTest {

    private static final int PAGES = 5;
    private static final int FROM = 32;

    private final SelectionKernels scalar = SparseFixture.kernels().get(0).selection();
    private final SelectionKernels vector = SparseFixture.kernels().get(1).selection();

    private static int[] pairs(Random random, int size) {
        int[] pairs = new int[size];
        for (int i = 0; i < size; i++) {
            int low = HalfFloats.floatToBfloat16(random.nextFloat()) & 0xffff;
            pairs[i] = low | HalfFloats.floatToBfloat16(random.nextFloat()) << 16;
        }
        return pairs;
    }

    private static float[] floats(Random random, int size) {
        float[] floats = new float[size];
        for (int i = 0; i < size; i++) {
            floats[i] = (float) random.nextGaussian();
        }
        return floats;
    }

    private static void assertClose(float[] actual, float[] expected) {
        for (int i = 0; i < expected.length; i++) {
            assertThat(actual[i]).as("at %s", i).isCloseTo(expected[i], within(1e-4f * (1 + Math.abs(expected[i]))));
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 4, 6, 8})
    void statisticsOfAPanelAreWeightedSumsOfTheHalves(int rows) {
        Random random = new Random(rows);
        for (int headDim : new int[] {64, 80, 96, 128}) {
            float[] weights = floats(random, 2 * rows * headDim);
            for (int i = rows * headDim; i < weights.length; i++) {
                weights[i] *= weights[i];
            }
            int[] pairs = pairs(random, FROM + PageStatistics.PANEL * headDim);
            int stride = PageStatistics.PANEL + 3;
            for (boolean root : new boolean[] {false, true}) {
                float[] expected = new float[rows * stride + 1];
                for (int r = 0; r < rows; r++) {
                    for (int p = 0; p < PageStatistics.PANEL; p++) {
                        double low = 0;
                        double high = 0;
                        for (int i = 0; i < headDim; i++) {
                            int pair = pairs[FROM + i * PageStatistics.PANEL + p];
                            low += (double) weights[r * headDim + i] * Float.intBitsToFloat(pair << 16);
                            high += (double) weights[(rows + r) * headDim + i]
                                    * Float.intBitsToFloat(pair & 0xffff0000);
                        }
                        expected[1 + p + r * stride] = (float) (low + (root ? Math.sqrt(high) : high));
                    }
                }
                for (SelectionKernels kernels : List.of(scalar, vector)) {
                    float[] scores = new float[expected.length];
                    kernels.statistics(weights, rows, headDim, pairs, FROM, root, scores, 1, stride);
                    assertClose(scores, expected);
                }
            }
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {8, 16, 32, 64})
    void sketchesOfPagesInARunAreSummedAlikeOneByOne(int pageSize) {
        Random random = new Random(pageSize);
        for (int headDim : new int[] {64, 80, 96, 128}) {
            int bytes = headDim / 8;
            byte[] signs = new byte[FROM + PAGES * bytes * pageSize];
            random.nextBytes(signs);
            byte[] tables = new byte[16 + bytes * 32];
            for (int i = 0; i < tables.length; i++) {
                // The largest that four values of 7 can be, so that an overflow would show.
                tables[i] = (byte) (random.nextInt(8) == 0 ? random.nextInt(57) - 28 : 28);
            }
            short[] factors = new short[FROM + PAGES * pageSize];
            for (int i = 0; i < factors.length; i++) {
                factors[i] = HalfFloats.floatToBfloat16(random.nextFloat());
            }
            float[] logits = new float[3 + PAGES * pageSize];
            vector.sketch(signs, FROM, bytes, factors, FROM, pageSize, PAGES, tables, 16, 0.3f, -2, logits, 3);
            float[] expected = new float[logits.length];
            for (int p = 0; p < PAGES; p++) {
                int from = FROM + p * bytes * pageSize;
                int at = FROM + p * pageSize;
                scalar.sketch(
                        signs, from, bytes, factors, at, pageSize, 1, tables, 16, 0.3f, -2, expected, 3 + at - FROM);
            }
            assertClose(logits, expected);
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3, 8})
    void aPageCountsAsMuchAsToTheHeadThatItMeansMostTo(int rows) {
        Random random = new Random(rows);
        int count = 32;
        int at = 8;
        int stride = 48;
        float[] scores = floats(random, rows * stride);
        float[] terms = floats(random, 5 * rows);
        float[] expected = scores.clone();
        for (int i = at; i < at + count; i++) {
            float best = Float.NEGATIVE_INFINITY;
            for (int r = 0; r < rows; r++) {
                best = Math.max(best, scores[i + r * stride] * terms[1 + 2 * r] + terms[2 + 2 * r]);
            }
            expected[i] = best;
        }
        for (SelectionKernels kernels : new SelectionKernels[] {scalar, vector}) {
            float[] merged = scores.clone();
            kernels.mergeRows(merged, at, stride, rows, count, terms, 1, 2, 2);
            assertClose(merged, expected);
        }
    }
}
