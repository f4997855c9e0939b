package io.github.skim4j.engine.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.skim4j.engine.backend.cpu.SparseFixture.Shape;
import java.util.Random;

class AttendTest {

    @TestEachKernels
    void aPageWithALogWeightCountsAsOftenAsTheWeightSays(CpuKernels kernels) {
        for (int seed = 0; seed < 20; seed++) {
            Random random = new Random(seed);
            Shape shape = Shape.random(random);
            try (SparseFixture fixture =
                    new SparseFixture(shape, kernels, 4 * shape.pageSize() + 1, 1, 0, random).fill(random, 10)) {
                int head = random.nextInt(shape.kvHeads());
                Attend.Result weighted = attend(fixture, head, 1, (float) Math.log(3));
                Attend.Result thrice = attend(fixture, head, 3, 0);
                for (int r = 0; r < shape.group(); r++) {
                    for (int i = 0; i < shape.headDim(); i++) {
                        assertThat(mean(weighted, r, i, shape))
                                .as("seed %s, %s, row %s, dimension %s", seed, shape, r, i)
                                .isCloseTo(mean(thrice, r, i, shape), within(1e-4f));
                    }
                }
            }
        }
    }

    /** Three whole pages, the second {@code times} times. */
    private static Attend.Result attend(SparseFixture fixture, int head, int times, float logWeight) {
        int pageSize = fixture.shape.pageSize();
        TokenList list = new TokenList();
        for (int p = 0; p < 3; p++) {
            for (int i = 0; i < (p == 1 ? times : 1); i++) {
                long whole = TokenList.range(0, pageSize);
                list.add(fixture.sequence.page(p), p * pageSize, whole, p == 1 ? logWeight : 0, TokenList.POSITIONED);
            }
        }
        QueryTile tile = new QueryTile(fixture.sequence, 0, head, 0, fixture.tokens - 1, 1, Integer.MAX_VALUE);
        return new Attend(fixture.config, fixture.kernels.attention(), fixture.pages, fixture.team)
                .whole(tile, list, fixture.group(0, head));
    }

    private static float mean(Attend.Result result, int row, int dimension, Shape shape) {
        return result.values()[row * shape.headDim() + dimension] / result.sums()[row];
    }
}
