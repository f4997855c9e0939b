package io.github.skim4j.cli.eval;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.skim4j.engine.chat.ChatMessage;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class EvalCaseTest {

    private static EvalCase of(int contextTokens, String answer, String value) {
        return new EvalCase("1", "single", contextTokens, List.of(ChatMessage.user("?")), answer, value, 64);
    }

    @Test
    void theValueCountsWhereThereIsOne() {
        EvalCase withValue = of(1000, "The leader is Ines Steele.", "Ines Steele");
        assertThat(withValue.isRight("It is INES steele, I think.")).isTrue();
        assertThat(withValue.isRight("Ines")).isFalse();
        EvalCase answerOnly = of(1000, "The documents do not say.", null);
        assertThat(answerOnly.isRight("  the documents do not say. ")).isTrue();
        assertThat(answerOnly.isRight("do not say")).isFalse();
    }

    @ParameterizedTest
    @CsvSource({
        "1, 1K",
        "911, 1K",
        "2047, 1K",
        "2048, 4K",
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
        assertThat(of(contextTokens, "a", null).contextGroup()).isEqualTo(group);
    }
}
