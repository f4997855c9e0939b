package io.github.skim4j.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.skim4j.cuda.RowMethod.Rank;
import io.github.skim4j.engine.attention.AttentionMethod;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class RowMethodTest {

    /** Of 4,000 tokens on 250 pages. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "sketch:budget=3% | 32 | 8",
                "sketch:budget=128 | 32 | 8",
                "sketch:budget=12.5%,coarse=0.5 | 125 | 32",
                "twilight:base=sketch,budget=3% | 32 | 8",
                "vattention | 32 | 13",
            })
    void fourBitKeysRankWhatTheSignsOfASketchLeaveOver(String spec, int coarse, int pages) {
        RowMethod method = RowMethod.of(AttentionMethod.parse(spec), 4000, 250, 16);
        assertThat(method.first()).isEqualTo(Rank.SKETCH);
        assertThat(method.firstPages()).isEqualTo(coarse);
        assertThat(method.second()).isEqualTo(Rank.INT4);
        assertThat(method.secondPages()).isEqualTo(pages);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "sketch:budget=6% | 15",
                "sketch:budget=1024 | 64",
                "sketch:budget=3%,coarse=0 | 8",
                "twilight | 63",
                "sketch:budget=12.5%,coarse=0.05 | 32",
                "sketch:budget=12.5%,coarse=0.125 | 32",
                "sketch:budget=100% | 250",
                "twilight:base=sketch,budget=12.5%,coarse=0 | 32",
            })
    void signsAloneChooseWhereTheyLeaveNoMoreThanIsRead(String spec, int pages) {
        RowMethod method = RowMethod.of(AttentionMethod.parse(spec), 4000, 250, 16);
        assertThat(method.first()).isEqualTo(Rank.SKETCH);
        assertThat(method.firstPages()).isEqualTo(pages);
        assertThat(method.second()).isEqualTo(Rank.NONE);
        assertThat(method.mostPages()).isEqualTo(pages);
    }

    /** Of 4,000 tokens, in pages of 16: always read are the sinks' pages, the latest ones', and one at least beside them. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "quest:budget=256 | 250 | 16",
                "quest:budget=100% | 250 | 250",
                "quest:budget=64,sinks=40,recent=40 | 250 | 7",
                "quest:budget=64,sinks=40,recent=40 | 100 | 4",
                "sketch:budget=128 | 250 | 8",
                "sketch:budget=128 | 20 | 8",
                "sketch:budget=12.5%,coarse=1 | 250 | 32",
            })
    void saysHowManyPagesRanksLeave(String spec, int visiblePages, int listed) {
        RowMethod method = RowMethod.of(AttentionMethod.parse(spec), 16 * visiblePages, visiblePages, 16);
        assertThat(method.listed(3999, visiblePages, 16)).isEqualTo(listed);
    }
}
