package io.github.skim4j.engine.attention;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class AttentionMethodTest {

    @Test
    void readsMethods() {
        assertThat(AttentionMethod.parse("dense")).isEqualTo(new Dense());
        assertThat(AttentionMethod.parse("streaming-llm:budget=1024"))
                .isEqualTo(new StreamingLlm(Budget.ofTokens(1024), StreamingLlm.DEFAULT_SINKS));
        assertThat(AttentionMethod.parse("streaming-llm: budget = 12.5% , sinks = 8"))
                .isEqualTo(new StreamingLlm(Budget.ofShare(0.125), 8));
    }

    @ParameterizedTest
    @ValueSource(strings = {"dense", "streaming-llm:budget=1024,sinks=4", "streaming-llm:budget=12.5%,sinks=0"})
    void specIsReadBack(String spec) {
        assertThat(AttentionMethod.parse(spec).spec()).isEqualTo(spec);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "streaming-llm                    | needs a budget",
                "streaming-llm:budget=0           | above 0",
                "streaming-llm:budget=-5          | above 0",
                "streaming-llm:budget=101%        | at most 100 %",
                "streaming-llm:budget=many        | 'many'",
                "streaming-llm:budget=4           | above its 4 sinks",
                "streaming-llm:budget=64,sinks=-1 | 0 or more",
                "streaming-llm:budget=64,sinks=x  | whole number",
                "streaming-llm:budget=64,sink=4   | no setting 'sink'",
                "streaming-llm:budget             | key=value",
                "dense:budget=64                  | no setting 'budget'",
            })
    void saysWhatIsWrong(String spec, String message) {
        assertThatThrownBy(() -> AttentionMethod.parse(spec))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining(message);
    }

    @Test
    void listsTheMethodsThereAre() {
        assertThatThrownBy(() -> AttentionMethod.parse("streamingllm:budget=5"))
                .isInstanceOf(UnknownAttentionMethodException.class)
                .hasMessageContaining("'streamingllm'")
                .hasMessageContaining("dense, streaming-llm");
    }

    @Test
    void aShareIsOfTheSequence() {
        assertThat(Budget.parse("12.5%").tokens(1000)).isEqualTo(125);
        assertThat(Budget.parse("1024").tokens(1000)).isEqualTo(1024);
    }
}
