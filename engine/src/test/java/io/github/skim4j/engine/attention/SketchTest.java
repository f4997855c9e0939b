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
                "just as much as a larger one | 59 | 1000 | 125",
                "until the signs suffice | 60 | 1000 | 60",
                "however many are read | 300 | 1000 | 300",
                "but no more than all | 700 | 600 | 600",
                "nor with a budget beyond them | 2000000000 | 1000 | 1000",
            })
    void signsLeaveAnEighthOrChooseAloneIfNothingElseIsSaid(String what, int pages, int visible, int coarse) {
        assertThat(sketch("sketch:budget=1024").coarsePages(pages, visible))
                .as(what)
                .isEqualTo(coarse);
    }

    @ParameterizedTest
    @CsvSource({"0, 125, 125", "0.05, 125, 125", "0.125, 125, 125", "0.2, 125, 200", "1, 125, 1000", "0, 10, 10"})
    void whatIsSaidIsTakenAsItIs(double coarse, int pages, int expected) {
        assertThat(sketch("sketch:budget=12.5%,coarse=" + coarse).coarsePages(pages, 1000))
                .isEqualTo(expected);
    }

    @ParameterizedTest
    @CsvSource({
        "budget=1024, true",
        "budget=3%, true",
        "budget=6%, false",
        "budget=12.5%, false",
        "'budget=12.5%,coarse=0.25', true",
        "'budget=1024,coarse=0', false",
        "'budget=3%,coarse=0', false",
    })
    void fourBitKeysAreMadeIfTheyMayBeLookedAt(String settings, boolean made) {
        Sketch sketch = sketch("sketch:" + settings);
        assertThat(sketch.hasSecondLook()).isEqualTo(made);
        if (!made) {
            // A page more or less by rounding does not matter.
            assertThat(sketch.coarsePages(1, 1000)).isEqualTo(1);
        }
    }

    @Test
    void anotherBudgetTakesItsOwnDefaultAlong() {
        Budget budget = Budget.ofShare(0.25);
        assertThat(sketch("sketch:budget=3%").withBudget(budget).coarsePages(250, 1000))
                .isEqualTo(250);
        assertThat(sketch("sketch:budget=3%,coarse=0.3").withBudget(budget).coarsePages(250, 1000))
                .isEqualTo(300);
    }

    private static Sketch sketch(String spec) {
        return (Sketch) AttentionMethod.parse(spec);
    }
}
