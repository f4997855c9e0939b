package io.github.skim4j.engine.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.skim4j.engine.attention.Always;
import io.github.skim4j.engine.attention.Budget;
import io.github.skim4j.engine.attention.Dense;
import io.github.skim4j.engine.attention.Sketch;
import io.github.skim4j.engine.backend.cpu.SparseFixture.Read;
import io.github.skim4j.engine.backend.cpu.SparseFixture.Shape;
import io.github.skim4j.engine.kv.KvCacheConfig.KvType;
import io.github.skim4j.engine.model.HalfFloats;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class KeySketchesTest {

    private static float[] gaussian(Random random, int size) {
        float[] values = new float[size];
        for (int i = 0; i < size; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return values;
    }

    @ParameterizedTest
    @ValueSource(ints = {16, 32, 48, 64, 80, 96, 112, 128})
    void rotationKeepsNormsAndProducts(int size) {
        Random random = new Random(size);
        Rotation rotation = new Rotation(size);
        for (int i = 0; i < 20; i++) {
            float[] a = gaussian(random, size);
            float[] b = gaussian(random, size);
            float[] rotatedA = new float[size + 5];
            System.arraycopy(a, 0, rotatedA, 5, size);
            float[] rotatedB = b.clone();
            rotation.apply(rotatedA, 5);
            rotation.apply(rotatedB, 0);
            float[] shifted = Arrays.copyOfRange(rotatedA, 5, size + 5);
            assertThat(SparseFixture.dot(shifted, shifted)).isCloseTo(SparseFixture.dot(a, a), within(1e-3));
            assertThat(SparseFixture.dot(shifted, rotatedB)).isCloseTo(SparseFixture.dot(a, b), within(1e-3));
            assertThat(rotatedA).startsWith(0, 0, 0, 0, 0);
        }
    }

    /** A single channel must reach all others, or signs would say nothing of how large it is. */
    @ParameterizedTest
    @ValueSource(ints = {16, 64, 80, 96, 128})
    void rotationSpreadsEveryChannel(int size) {
        Rotation rotation = new Rotation(size);
        for (int channel = 0; channel < size; channel++) {
            float[] values = new float[size];
            values[channel] = 1;
            rotation.apply(values, 0);
            double largest = 0;
            for (float value : values) {
                largest = Math.max(largest, Math.abs(value));
            }
            assertThat(largest).as("channel %s", channel).isLessThan(0.8);
        }
    }

    /** Checks what is stored of a fixture's first layer against its definition. */
    @Test
    void signsFactorsAndMeansAreThoseOfTheDefinition() {
        for (int seed = 0; seed < 10; seed++) {
            Random random = new Random(seed);
            Shape shape = Shape.random(random);
            String what = "seed " + seed + ", " + shape;
            int headDim = shape.headDim();
            try (SparseFixture fixture =
                    new SparseFixture(shape, new ScalarKernels(), 400, 1, 0, random).fill(random, 10)) {
                KeySketches sketches =
                        fixture.filled(new KeySketches(fixture.config, shape.pageSize(), fixture.pages.count()), 0);
                for (int head = 0; head < shape.kvHeads(); head++) {
                    double[] mean = mean(fixture, head);
                    for (int slot = 0; slot < 399 / shape.pageSize() * shape.pageSize(); slot += 7) {
                        float[] centred = fixture.key(0, head, slot);
                        double squares = 0;
                        for (int i = 0; i < headDim; i++) {
                            centred[i] -= (float) mean[i];
                            squares += centred[i] * centred[i];
                        }
                        sketches.rotation().apply(centred, 0);
                        double sum = 0;
                        for (float value : centred) {
                            sum += Math.abs(value);
                        }
                        for (int i = 0; i < headDim; i++) {
                            if (Math.abs(centred[i]) > 1e-4) {
                                assertThat(sign(sketches, fixture, head, slot, i))
                                        .as(what)
                                        .isEqualTo(centred[i] > 0);
                            }
                        }
                        assertThat((double) factor(sketches, fixture, head, slot))
                                .as(what)
                                .isCloseTo(squares / sum, within(squares / sum / 200));
                    }
                }
            }
        }
    }

    @Test
    void theMeanIsThatOfAllKeysBeforeTheFirstTokenThatSelects() {
        Random random = new Random(4);
        Shape shape = new Shape(32, 2, 1, 1, 0, 16, KvType.F32);
        try (SparseFixture fixture =
                new SparseFixture(shape, new ScalarKernels(), 1000, 3, 0, random).fill(random, 0)) {
            fixture.attend(0, new Dense(), 0, 1);
            assertThat(fixture.sequence.length()).isEqualTo(997);
            KeySketches sketches = fixture.filled(new KeySketches(fixture.config, 16, fixture.pages.count()), 0);
            for (int head = 0; head < 2; head++) {
                for (int i = 0; i < 32; i++) {
                    double sum = 0;
                    for (int slot = 0; slot < 992; slot++) {
                        sum += fixture.key(0, head, slot)[i];
                    }
                    assertThat((double) sketches.means(fixture.sequence.page(61), 0)[head * 32 + i])
                            .isCloseTo(sum / 992, within(1e-4));
                }
            }
        }
    }

    private static double[] mean(SparseFixture fixture, int head) {
        double[] mean = new double[fixture.shape.headDim()];
        for (int slot = 0; slot < KeySketches.MEAN_TOKENS; slot++) {
            float[] key = fixture.key(0, head, slot);
            for (int i = 0; i < mean.length; i++) {
                mean[i] += key[i] / KeySketches.MEAN_TOKENS;
            }
        }
        return mean;
    }

    private static boolean sign(KeySketches sketches, SparseFixture fixture, int head, int slot, int dimension) {
        int pageSize = fixture.shape.pageSize();
        int page = fixture.sequence.page(slot / pageSize);
        int[] words = sketches.signs(page, 0)[head * sketches.words() + dimension / 32];
        return (words[sketches.place(page, slot % pageSize)] >>> dimension % 32 & 1) != 0;
    }

    private static float factor(KeySketches sketches, SparseFixture fixture, int head, int slot) {
        int pageSize = fixture.shape.pageSize();
        int page = fixture.sequence.page(slot / pageSize);
        return HalfFloats.bfloat16ToFloat(sketches.factors(page, 0)[
                sketches.factorsOffset(page, head) + slot % pageSize * sketches.blockPages()]);
    }

    private static float[][] estimates(SparseFixture fixture, KeySketches sketches, CpuKernels kernels, int head) {
        Shape shape = fixture.shape;
        return fixture.estimates(new SketchScorer(kernels, sketches, shape.headDim(), shape.pageSize()), 0, head);
    }

    @Test
    void aBlockOfPagesInARowIsReadWhereItLies() {
        Random inOrder = new Random() {
            @Override
            public int nextInt(int bound) {
                return bound - 1;
            }
        };
        for (CpuKernels kernels : SparseFixture.kernels()) {
            for (int seed = 200; seed < 204; seed++) {
                Random random = new Random(seed);
                Shape shape = Shape.random(random);
                int pageSize = shape.pageSize();
                try (SparseFixture fixture =
                        new SparseFixture(shape, kernels, 64 * pageSize + 1, 1, 0, inOrder).fill(random, 10)) {
                    KeySketches sketches =
                            fixture.filled(new KeySketches(fixture.config, pageSize, fixture.pages.count()), 0);
                    SketchScorer scorer = new SketchScorer(kernels, sketches, shape.headDim(), pageSize);
                    int head = shape.kvHeads() - 1;
                    Selection selection = fixture.prepared(scorer, 0, head);
                    Selection.Scratch scratch = new Selection.Scratch();
                    SketchScorer.Panel all = scorer.panel(selection, 0, 64, scratch);
                    assertThat(all.signs()).isSameAs(sketches.signs(fixture.sequence.page(0), 0));
                    for (int r = 0; r < shape.group(); r++) {
                        float[] logits =
                                scorer.logits(selection, 0, 64, r, all, scratch).clone();
                        for (int from = 0; from < 64; from += 16) {
                            SketchScorer.Panel some = scorer.panel(selection, from, from + 16, scratch);
                            float[] gathered = scorer.logits(selection, from, from + 16, r, some, scratch);
                            for (int i = 0; i < 16 * pageSize; i++) {
                                assertThat(gathered[i / 16 * 64 + i % 16])
                                        .as("seed %s, %s, row %s", seed, shape, r)
                                        .isEqualTo(logits[i / 16 * 64 + from + i % 16]);
                            }
                        }
                    }
                }
            }
        }
    }

    @Test
    void estimatesAreThoseOfTheDefinitionButForTheQuerysQuantisation() {
        for (CpuKernels kernels : SparseFixture.kernels()) {
            for (int seed = 100; seed < 108; seed++) {
                Random random = new Random(seed);
                Shape shape = Shape.random(random);
                String what = "seed " + seed + ", " + shape;
                try (SparseFixture fixture = new SparseFixture(shape, kernels, 300, 1, 0, random).fill(random, 10)) {
                    KeySketches sketches =
                            fixture.filled(new KeySketches(fixture.config, shape.pageSize(), fixture.pages.count()), 0);
                    for (int head = 0; head < shape.kvHeads(); head++) {
                        float[][] estimates = estimates(fixture, sketches, kernels, head);
                        double[] mean = mean(fixture, head);
                        for (int r = 0; r < shape.group(); r++) {
                            float[] rotated = fixture.query(0, head * shape.group() + r);
                            double offset = 0;
                            for (int i = 0; i < rotated.length; i++) {
                                offset += rotated[i] * mean[i];
                            }
                            sketches.rotation().apply(rotated, 0);
                            double largest = 0;
                            for (float value : rotated) {
                                largest = Math.max(largest, Math.abs(value));
                            }
                            for (int slot = 0; slot < estimates[r].length; slot++) {
                                double sum = 0;
                                for (int i = 0; i < rotated.length; i++) {
                                    sum += sign(sketches, fixture, head, slot, i) ? rotated[i] : -rotated[i];
                                }
                                double factor = factor(sketches, fixture, head, slot);
                                // Half a step of the query's 15 levels in each dimension.
                                double bound = factor * rotated.length * largest / 7 / 2 + 1e-3;
                                assertThat((double) estimates[r][slot])
                                        .as(what)
                                        .isCloseTo(offset + factor * sum, within(bound));
                            }
                        }
                    }
                }
            }
        }
    }

    @Test
    void estimatesOfGaussianKeysAreUnbiasedAndCorrelateWithTheLogits() {
        for (int headDim : new int[] {64, 80, 96, 128}) {
            Random random = new Random(headDim);
            Shape shape = new Shape(headDim, 1, 8, 1, 0, 16, KvType.F32);
            CpuKernels kernels = SparseFixture.kernels().get(1);
            try (SparseFixture fixture = new SparseFixture(shape, kernels, 4097, 1, 0, random).fill(random, 0)) {
                KeySketches sketches = fixture.filled(new KeySketches(fixture.config, 16, fixture.pages.count()), 0);
                float[][] estimates = estimates(fixture, sketches, kernels, 0);
                double[] mean = mean(fixture, 0);
                double errors = 0;
                double squaredErrors = 0;
                double product = 0;
                double exactSquares = 0;
                double estimateSquares = 0;
                int count = 0;
                for (int r = 0; r < 8; r++) {
                    double[] logits = fixture.logits(0, 0, r);
                    double offset = 0;
                    for (int i = 0; i < headDim; i++) {
                        offset += fixture.query(0, r)[i] * mean[i];
                    }
                    for (int slot = 0; slot < estimates[r].length; slot++) {
                        double exact = logits[slot] - offset;
                        double estimate = estimates[r][slot] - offset;
                        errors += estimate - exact;
                        squaredErrors += (estimate - exact) * (estimate - exact);
                        product += exact * estimate;
                        exactSquares += exact * exact;
                        estimateSquares += estimate * estimate;
                        count++;
                    }
                }
                String what = "head size " + headDim;
                double deviation = Math.sqrt(squaredErrors / count);
                assertThat(errors / count).as(what).isCloseTo(0, within(0.02 * deviation + 0.01));
                assertThat(product / exactSquares).as(what + ", slope").isCloseTo(1, within(0.02));
                assertThat(product / Math.sqrt(exactSquares * estimateSquares))
                        .as(what + ", correlation")
                        .isGreaterThan(0.75);
            }
        }
    }

    /**
     * Two sequences that begin alike and go different ways within the tokens that the mean is taken of: the second one's sketches are
     * relative to the first one's mean, which is a worse one for it but still finds what stands out, and the first one's stay as they are.
     */
    @Test
    void sequencesThatShareTheirFirstPagesSelectBySketchesOfOneMean() {
        for (int seed = 0; seed < 20; seed++) {
            Random random = new Random(seed);
            Shape shape = new Shape(64, 2, 4, 1, 0, 16, KvType.BF16);
            CpuKernels kernels = SparseFixture.kernels().get(seed % 2);
            Sketch method = new Sketch(Budget.ofTokens(48), 0.125, new Always(4, 16, 0));
            try (SparseFixture trunk = new SparseFixture(shape, kernels, 1500, 1, 0, random, 2).fill(random, 0)) {
                SparseFixture branch = trunk.branch(64).fill(random, 0);
                int slot = 64 + random.nextInt(1300);
                float[] key = branch.key(0, 1, slot);
                float[] query = branch.query(0, 4 + random.nextInt(4));
                for (int i = 0; i < key.length; i++) {
                    key[i] += 10 * query[i];
                }
                branch.write(0, 1, slot, key, key);

                List<Read> before = trunk.run(0, method, 1);
                assertThat(branch.run(0, method, 1).get(1).tokens().keySet())
                        .as("seed %s", seed)
                        .contains(slot);
                assertThat(trunk.run(0, method, 1)).as("seed %s", seed).isEqualTo(before);
            }
        }
    }

    /** The window begins within a page, whose hidden tokens would make it the best one. */
    @Test
    void tokensBeforeTheWindowDoNotCount() {
        for (CpuKernels kernels : SparseFixture.kernels()) {
            for (int seed = 0; seed < 10; seed++) {
                Random random = new Random(seed);
                Shape shape = new Shape(64, 1, 4, 1, 900, 16, KvType.BF16);
                Sketch method = new Sketch(Budget.ofTokens(48), 0.0, new Always(0, 16, 0));
                try (SparseFixture fixture = new SparseFixture(shape, kernels, 2000, 1, 0, random).fill(random, 0)) {
                    float[] query = fixture.query(0, random.nextInt(4));
                    for (int slot : new int[] {1090, 1500}) {
                        float[] key = fixture.key(0, 0, slot);
                        for (int i = 0; i < key.length; i++) {
                            key[i] += (slot == 1090 ? 20 : 10) * query[i];
                        }
                        fixture.write(0, 0, slot, key, key);
                    }
                    assertThat(fixture.run(0, method, 1).get(0).tokens().keySet())
                            .as("seed %s", seed)
                            .contains(1500)
                            .doesNotContain(1100);
                }
            }
        }
    }

    /** Keys of the two lean in directions of their own, farther apart than they scatter: own means would give a correlation of 0.8. */
    @Test
    void estimatesRelativeToAnotherSequencesMeanRankTokens() {
        Random random = new Random(1);
        Shape shape = new Shape(64, 1, 8, 1, 0, 16, KvType.F32);
        CpuKernels kernels = SparseFixture.kernels().get(1);
        try (SparseFixture trunk = new SparseFixture(shape, kernels, 4097, 1, 0, random, 2).fill(random, 0)) {
            SparseFixture branch = trunk.branch(64).fill(random, 0);
            KeySketches sketches = trunk.filled(new KeySketches(trunk.config, 16, trunk.pages.count()), 0);
            branch.filled(sketches, 0, 4);
            for (int page = 0; page < 256; page++) {
                assertThat(sketches.means(branch.sequence.page(page), 0))
                        .isSameAs(sketches.means(trunk.sequence.page(0), 0));
            }
            float[][] estimates = estimates(branch, sketches, kernels, 0);
            for (int r = 0; r < 8; r++) {
                assertThat(correlation(branch.logits(0, 0, r), estimates[r], 64))
                        .as("query %s", r)
                        .isGreaterThan(0.5);
            }
        }
    }

    /** Pearson's, of the slots from {@code from} on that both have. */
    private static double correlation(double[] exact, float[] estimated, int from) {
        double x = 0;
        double y = 0;
        double xx = 0;
        double yy = 0;
        double xy = 0;
        int count = estimated.length - from;
        for (int slot = from; slot < estimated.length; slot++) {
            x += exact[slot] / count;
            y += estimated[slot] / (double) count;
            xx += exact[slot] * exact[slot] / count;
            yy += estimated[slot] * estimated[slot] / (double) count;
            xy += exact[slot] * estimated[slot] / count;
        }
        return (xy - x * y) / Math.sqrt((xx - x * x) * (yy - y * y));
    }

    @Test
    void aSequenceShorterThanTheMeanIsDense() {
        Random random = new Random(5);
        for (int pageSize : new int[] {8, 16, 32, 64}) {
            Shape shape = new Shape(64, 2, 3, 1, 0, pageSize, KvType.BF16);
            Sketch method = new Sketch(Budget.ofTokens(pageSize), 0.125, new Always(0, 0, 0));
            for (int tokens : new int[] {200, 256, 257, 300}) {
                try (SparseFixture fixture =
                        new SparseFixture(shape, new ScalarKernels(), tokens, 1, 0, random).fill(random, 10)) {
                    int read = fixture.run(0, method, 1).get(0).tokens().size();
                    if (tokens <= 256) {
                        assertThat(read).as("%s tokens", tokens).isEqualTo(tokens);
                    } else {
                        assertThat(read).as("%s tokens", tokens).isLessThanOrEqualTo(2 * pageSize);
                    }
                }
            }
        }
    }
}
