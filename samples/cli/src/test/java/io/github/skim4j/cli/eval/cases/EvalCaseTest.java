package io.github.skim4j.cli.eval.cases;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.skim4j.engine.chat.ChatMessage;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class EvalCaseTest {

    private static EvalCase of(int contextTokens, String... values) {
        return new EvalCase("1", "single", contextTokens, List.of(ChatMessage.user("?")), "a", List.of(values), 64, 64);
    }

    @Test
    void scoreIsTheShareOfTheValuesThatAreNamed() {
        EvalCase one = of(1000, "Ines Steele");
        assertThat(one.score("It is INES steele, I think.")).isEqualTo(1);
        assertThat(one.score("Ines")).isZero();
        EvalCase four = of(1000, "11", "22", "33", "44");
        assertThat(four.score("33 and 11")).isEqualTo(0.5);
        assertThat(four.score("44, 33, 22, 11, 55")).isEqualTo(1);
    }

    @Test
    void aFingerprintTellsCasesApart() {
        assertThat(of(1000, "a").fingerprint())
                .isEqualTo(of(1000, "a").fingerprint())
                .isNotEqualTo(of(1000, "b").fingerprint());
    }

    @ParameterizedTest
    @CsvSource({
        "1, 1K",
        "911, 1K",
        "1400, 1K",
        "1500, 2K",
        "2048, 2K",
        "4000, 4K",
        "5700, 4K",
        "5900, 8K",
        "8100, 8K",
        "16300, 16K",
        "32700, 32K",
        "65000, 64K",
        "128000, 128K"
    })
    void groupsByTheNearestUsualLength(int contextTokens, String group) {
        assertThat(of(contextTokens, "a").contextGroup()).isEqualTo(group);
    }
}
