package io.github.skim4j.engine.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.skim4j.engine.model.HalfFloats;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Both implementations of each kernel against its definition. */
class SelectionKernelsTest {

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
            if (actual[i] == expected[i]) {
                continue;
            }
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
    @ValueSource(ints = {2, 4, 6, 8})
    void statisticsInFloat8AreWeightedSumsOfTheBytes(int rows) {
        Random random = new Random(rows);
        for (int headDim : new int[] {64, 80, 96, 128}) {
            float[] weights = floats(random, 2 * rows * headDim);
            for (int i = rows * headDim; i < weights.length; i++) {
                weights[i] *= weights[i];
            }
            for (boolean root : new boolean[] {false, true}) {
                int scales = FROM + headDim / 2 * PageStatistics.PANEL;
                int[] stored = float8s(random, scales, scales + 2 * PageStatistics.PANEL, root);
                int stride = PageStatistics.PANEL + 3;
                float[] expected = new float[rows * stride + 1];
                for (int r = 0; r < rows; r++) {
                    for (int p = 0; p < PageStatistics.PANEL; p++) {
                        double low = 0;
                        double high = 0;
                        for (int i = 0; i < headDim; i++) {
                            int pair = stored[FROM + i / 2 * PageStatistics.PANEL + p] >>> i % 2 * 16;
                            low += (double) weights[r * headDim + i] * Float8.toFloat(pair & 0xff);
                            high += (double) weights[(rows + r) * headDim + i] * Float8.toFloat(pair >>> 8 & 0xff);
                        }
                        low *= Float.intBitsToFloat(stored[scales + p]);
                        high *= Float.intBitsToFloat(stored[scales + PageStatistics.PANEL + p]);
                        expected[1 + p + r * stride] = (float) (low + (root ? Math.sqrt(high) : high));
                    }
                }
                float[] units = weights.clone();
                for (int i = 0; i < units.length; i++) {
                    units[i] *= Float8.ROOT_OF_BIAS;
                }
                for (SelectionKernels kernels : List.of(scalar, vector)) {
                    float[] scores = new float[expected.length];
                    kernels.statistics8(units, rows, headDim, stored, FROM, root, scores, 1, stride);
                    assertClose(scores, expected);
                }
            }
        }
    }

    /** All codes, but NaN; the second of two not negative where it is a variance, and scales of their own for every number. */
    private static int[] float8s(Random random, int scales, int end, boolean variances) {
        int[] words = new int[end];
        for (int i = FROM; i < scales; i++) {
            for (int b = 0; b < 4; b++) {
                int code = random.nextInt(0x7f) | (variances && b % 2 == 1 ? 0 : random.nextInt(2) << 7);
                words[i] |= code << 8 * b;
            }
        }
        for (int i = scales; i < end; i++) {
            words[i] = Float.floatToRawIntBits((float) Math.pow(2, random.nextInt(5) - 14));
        }
        return words;
    }

    @ParameterizedTest
    @ValueSource(ints = {16, 64, 80, 96, 128, 160, 288})
    void signsAddOrSubtractTheQuerysNumbers(int headDim) {
        Random random = new Random(headDim);
        int words = (headDim + 31) / 32;
        for (int tokens : new int[] {8, 16, 24, 80, 1000, 1024}) {
            int[][] signs = new int[2 + words + 1][tokens + 5];
            for (int[] word : signs) {
                Arrays.setAll(word, t -> random.nextInt());
            }
            int[] numbers = random.ints(headDim, -8, 8).toArray();
            int[] query = new int[3 + 1 + 4 * words];
            query[3] = -IntStream.of(numbers).sum();
            for (int i = 0; i < headDim; i++) {
                for (int b = 0; b < 4; b++) {
                    query[4 + i / 32 * 4 + b] |= (numbers[i] >> b & 1) << i;
                }
            }
            int[] expected = new int[tokens + 5];
            for (int t = 0; t < tokens; t++) {
                for (int i = 0; i < headDim; i++) {
                    expected[t] += (signs[2 + i / 32][t] >>> i & 1) == 0 ? -numbers[i] : numbers[i];
                }
            }
            for (SelectionKernels kernels : List.of(scalar, vector)) {
                int[] sums = new int[tokens + 5];
                kernels.signSums(signs, 2, words, tokens, query, 3, sums);
                assertThat(sums).as("%s tokens", tokens).isEqualTo(expected);
            }
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {8, 16, 32, 64})
    void sumsAreScaledAndTheirExponentialsSummedOverAPagesTokens(int tokens) {
        Random random = new Random(tokens);
        for (int pages : new int[] {64, 128}) {
            int[] sums = random.ints(tokens * pages, -896, 897).toArray();
            short[] factors = new short[5 + tokens * pages];
            for (int i = 0; i < factors.length; i++) {
                factors[i] = HalfFloats.floatToBfloat16(random.nextFloat() / 10);
            }
            float[] offsets = floats(random, pages + 3);
            offsets[3] = Float.NEGATIVE_INFINITY;
            float[] expected = new float[tokens * pages];
            double[] expectedSums = new double[pages];
            for (int i = 0; i < expected.length; i++) {
                expected[i] = offsets[3 + i % pages] + HalfFloats.bfloat16ToFloat(factors[5 + i]) * 0.3f * sums[i];
                expectedSums[i % pages] += Math.exp(expected[i] - 28);
            }
            for (SelectionKernels kernels : List.of(scalar, vector)) {
                float[] logits = new float[tokens * pages];
                kernels.scaleSums(sums, factors, 5, 0.3f, offsets, 3, tokens, pages, logits);
                assertClose(logits, expected);
                float[] exponentials = new float[2 + pages];
                kernels.roughExpSums(logits, tokens, pages, 28, exponentials, 2);
                assertThat(exponentials[2]).isZero();
                for (int p = 1; p < pages; p++) {
                    assertThat((double) exponentials[2 + p])
                            .as("page %s", p)
                            .isBetween(expectedSums[p] * 0.999, expectedSums[p] * 1.063);
                }
            }
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
