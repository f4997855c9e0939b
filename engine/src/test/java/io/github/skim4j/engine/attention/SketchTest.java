package io.github.skim4j.engine.attention;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class SketchTest {

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "a small budget leaves the signs an eighth | 30 | 1000 | 125",
                "which is rounded up | 1 | 1001 | 126",
                "a larger one four times as many as are read | 50 | 1000 | 200",
                "up to a quarter | 63 | 1000 | 250",
                "beyond that twice as many as are read | 125 | 1000 | 250",
                "however many these are | 300 | 1000 | 600",
                "half of the pages: the 4-bit keys rank all | 500 | 1000 | 1000",
                "there are not more than all | 700 | 1000 | 1000",
                "nor with a budget beyond them | 2000000000 | 1000 | 1000",
            })
    void fourBitKeysGetSeveralTimesTheBudgetIfNothingElseIsSaid(String what, int pages, int visible, int coarse) {
        assertThat(sketch("sketch:budget=12.5%").coarsePages(pages, visible))
                .as(what)
                .isEqualTo(coarse);
    }

    @ParameterizedTest
    @CsvSource({
        "0, 125, 1000, 125",
        "0.05, 125, 1000, 125",
        "0.125, 125, 1000, 125",
        "0.2, 125, 1000, 200",
        "1, 125, 1000, 1000"
    })
    void whatIsSaidIsTakenAsItIs(double coarse, int pages, int visible, int expected) {
        assertThat(sketch("sketch:budget=12.5%,coarse=" + coarse).coarsePages(pages, visible))
                .isEqualTo(expected);
    }

    @Test
    void anotherBudgetTakesItsOwnDefaultAlong() {
        Budget budget = Budget.ofShare(0.25);
        assertThat(sketch("sketch:budget=3%").withBudget(budget).coarsePages(250, 1000))
                .isEqualTo(500);
        assertThat(sketch("sketch:budget=3%,coarse=0.3").withBudget(budget).coarsePages(250, 1000))
                .isEqualTo(300);
    }

    private static Sketch sketch(String spec) {
        return (Sketch) AttentionMethod.parse(spec);
    }
}
