package io.github.skim4j.langchain4j;

import static org.assertj.core.api.Assertions.assertThat;

import dev.langchain4j.model.chat.request.ChatRequestParameters;
import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.attention.Dense;
import org.junit.jupiter.api.Test;

class SkimChatRequestParametersTest {

    private static final AttentionMethod STREAMING = AttentionMethod.parse("streaming-llm:budget=1024");

    private static SkimChatRequestParameters.Builder full() {
        return SkimChatRequestParameters.builder()
                .temperature(0.5)
                .topK(3)
                .seed(1L)
                .minP(0.1)
                .repetitionPenalty(1.2)
                .attention(new Dense());
    }

    @Test
    void overrideWithTakesWhatTheOtherSets() {
        SkimChatRequestParameters other =
                SkimChatRequestParameters.builder().topK(9).seed(2L).build();

        assertThat(full().build().overrideWith(other))
                .isEqualTo(full().topK(9).seed(2L).build());
    }

    @Test
    void defaultedByKeepsItsOwn() {
        SkimChatRequestParameters partial = SkimChatRequestParameters.builder()
                .seed(2L)
                .attention(STREAMING)
                .build();

        assertThat(partial.defaultedBy(full().build()))
                .isEqualTo(full().seed(2L).attention(STREAMING).build());
    }

    @Test
    void mergingWithPlainParametersKeepsOurOwnFromEitherSide() {
        ChatRequestParameters plain = ChatRequestParameters.builder().topK(9).build();

        assertThat(full().build().overrideWith(plain)).isEqualTo(full().topK(9).build());
        assertThat(full().build().defaultedBy(plain)).isEqualTo(full().build());
        assertThat(plain.overrideWith(full().build())).isEqualTo(full().build());
        assertThat(plain.defaultedBy(full().build())).isEqualTo(full().topK(9).build());
    }

    @Test
    void equalsAndHashCodeSeeEachOfOurOwn() {
        SkimChatRequestParameters parameters = full().build();

        assertThat(parameters)
                .isEqualTo(full().build())
                .hasSameHashCodeAs(full().build())
                .isNotEqualTo(full().seed(2L).build())
                .isNotEqualTo(full().minP(0.2).build())
                .isNotEqualTo(full().repetitionPenalty(1.3).build())
                .isNotEqualTo(full().attention(STREAMING).build())
                .isNotEqualTo(full().topK(4).build())
                .isNotEqualTo(null);
    }

    @Test
    void toStringNamesEverySetValue() {
        assertThat(full().attention(STREAMING).modelName("m").build())
                .hasToString("SkimChatRequestParameters{modelName='m', temperature=0.5, topP=null, topK=3, "
                        + "frequencyPenalty=null, presencePenalty=null, maxOutputTokens=null, stopSequences=[], "
                        + "toolSpecifications=[], toolChoice=null, responseFormat=null, seed=1, minP=0.1, "
                        + "repetitionPenalty=1.2, attention=streaming-llm:budget=1024,sinks=4}");
        assertThat(SkimChatRequestParameters.EMPTY.toString()).contains("attention=null");
    }
}
