package io.github.skim4j.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.model.Architecture;
import io.github.skim4j.engine.model.ModelConfig;
import io.github.skim4j.engine.model.Rope;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class BreakEvenTest {

    private static final double H200 = 4.3e12;

    /** Of Llama-3.1-8B, or with 32 KV heads Llama-2-7B. */
    private static int tokens(int kvHeads, int slidingWindow, double bandwidth, String method) {
        ModelConfig config = new ModelConfig(
                Architecture.LLAMA,
                32_000,
                4096,
                14_336,
                32,
                32,
                kvHeads,
                128,
                131_072,
                1e-5f,
                new Rope(10_000, new Rope.None(), false),
                slidingWindow,
                0,
                false,
                false);
        return new BreakEven(config, 16, 2 * 128 * Short.BYTES, bandwidth).tokens(AttentionMethod.parse(method));
    }

    private static int tokens(String method) {
        return tokens(8, 0, H200, method);
    }

    @Test
    void dependsOnWhatIsLeftOut() {
        // Whole decode steps on an H200: all of these were faster than dense attention at 32K and slower at 8K.
        assertThat(tokens("quest:budget=2048")).isBetween(8_192, 32_768);
        assertThat(tokens("sketch:budget=1024,coarse=0")).isBetween(8_192, 16_384);
        assertThat(tokens("sketch:budget=6.25%")).isBetween(8_192, 16_384);
        assertThat(tokens("sketch:budget=3%")).isBetween(16_384, 32_768);
        assertThat(tokens("vattention:base=sketch,budget=5%")).isBetween(32_768, 131_072);
        assertThat(tokens(32, 0, H200, "quest:budget=2048")).isBetween(2_048, 8_192);
        assertThat(tokens("quest:budget=8192")).isGreaterThan(tokens("quest:budget=2048"));
        assertThat(tokens(8, 0, H200 / 2, "quest:budget=25%")).isLessThan(tokens("quest:budget=25%"));
        assertThat(tokens("quest:budget=25%,dense-layers=2")).isEqualTo(tokens("quest:budget=25%,dense-layers=0"));
    }

    @Test
    void aSecondLookThatBeginsAtSomeLengthMustPay() {
        // From 17,067 tokens on there are less than 6 % of the pages among 1,024 tokens.
        assertThat(tokens("sketch:budget=1024")).isBetween(17_067, 32_768);
        assertThat(tokens(32, 0, H200, "sketch:budget=1024")).isLessThan(8_192);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {"dense", "streaming-llm:budget=100", "h2o:budget=10%", "oracle:budget=5%", "random:budget=5%"})
    void othersAreNotThereForSpeed(String method) {
        assertThat(tokens(method)).isZero();
    }

    @Test
    void whatReadsEverythingOrSeesLittleNeverPays() {
        assertThat(tokens("quest:budget=100%")).isEqualTo(Integer.MAX_VALUE);
        assertThat(tokens(8, 4096, H200, "sketch:budget=3%")).isEqualTo(Integer.MAX_VALUE);
    }
}
