package io.github.skim4j.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.skim4j.cuda.RowMethod.Rank;
import io.github.skim4j.engine.attention.AttentionMethod;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class PageDataTest {

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "quest:budget=64,score=bounds | BOUNDS | fill_bounds | 512",
                "quest:budget=64,score=moments | MOMENTS | fill_moments | 512",
                "quest:budget=64,score=bounds,statistics=fp8 | BOUNDS8 | fill_bounds8 | 272",
                "quest:budget=64,statistics=fp8 | MOMENTS8 | fill_moments8 | 272",
                "twilight:base=quest,p=1,statistics=fp8 | MOMENTS8 | fill_moments8 | 272",
            })
    void statisticsOfQuest(String spec, Rank rank, String fill, int bytes) {
        AttentionMethod method = AttentionMethod.parse(spec);
        assertThat(PageData.of(method, 128)).singleElement().satisfies(kind -> {
            assertThat(kind).isEqualTo(new PageData(rank, 128));
            assertThat(kind.fillKernel()).isEqualTo(fill);
            assertThat(kind.bytes(16)).isEqualTo(bytes);
            assertThat(kind.minTokens()).isZero();
        });
        assertThat(RowMethod.of(method, 10_000, 625, 16).first()).isEqualTo(rank);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "sketch:budget=3% | SKETCH, INT4",
                "sketch:budget=1024 | SKETCH, INT4",
                "sketch:budget=12.5% | SKETCH",
                "sketch:budget=3%,coarse=0 | SKETCH",
                "twilight:base=sketch,budget=12.5% | SKETCH, INT4",
            })
    void fourBitKeysAreThereForASecondLookOrTopP(String spec, String ranks) {
        assertThat(PageData.of(AttentionMethod.parse(spec), 128))
                .extracting(kind -> kind.rank().name())
                .containsExactly(ranks.split(", "));
    }

    /** Blocks are read 16 bytes at a time. */
    @ParameterizedTest
    @EnumSource(names = {"BOUNDS", "MOMENTS", "BOUNDS8", "MOMENTS8", "SKETCH", "INT4"})
    void blocksAreMultiplesOf16Bytes(Rank rank) {
        for (int headDim : new int[] {64, 80, 96, 128}) {
            for (int pageSize : new int[] {16, 32, 64}) {
                assertThat(new PageData(rank, headDim).bytes(pageSize) % 16)
                        .as("%s of %s, pages of %s", rank, headDim, pageSize)
                        .isZero();
            }
        }
    }
}
