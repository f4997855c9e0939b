package io.github.skim4j.langchain4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.langchain4j.model.chat.request.ChatRequestParameters;
import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.attention.Dense;
import io.github.skim4j.engine.attention.UnknownAttentionMethodException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

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

    @ParameterizedTest
    @ValueSource(
            strings = {
                "dense",
                "quest:budget=1024,score=bounds",
                "sketch:budget=6.25%,coarse=0.25,dense-layers=0",
                "double-sparsity:budget=512,channels=32",
                "twilight:p=0.9,base=quest",
                "vattention:epsilon=0.1,verify=both",
                "streaming-llm:budget=64,sinks=8",
                "h2o:budget=64",
                "tova:budget=64",
                "snapkv:budget=128,kernel=5",
                "oracle:budget=12.5%",
                "random:budget=12.5%,seed=3"
            })
    void everyMethodSurvivesMergingAsRecordAndAsSpec(String spec) {
        AttentionMethod method = AttentionMethod.parse(spec);
        SkimChatRequestParameters parameters =
                SkimChatRequestParameters.builder().attention(spec).build();

        assertThat(parameters)
                .isEqualTo(SkimChatRequestParameters.builder().attention(method).build());
        assertThat(full().build().overrideWith(parameters).attention()).isEqualTo(method);
        assertThat(parameters.defaultedBy(full().build()).attention()).isEqualTo(method);
        assertThat(parameters
                        .overrideWith(ChatRequestParameters.builder().topK(9).build())
                        .attention())
                .isEqualTo(method);
    }

    @Test
    void aSpecIsCheckedAtOnce() {
        SkimChatRequestParameters.Builder builder = SkimChatRequestParameters.builder();

        assertThatThrownBy(() -> builder.attention("telepathy:budget=5"))
                .isInstanceOf(UnknownAttentionMethodException.class)
                .hasMessageContaining("'telepathy'");
        assertThatThrownBy(() -> builder.attention("twilight:p=1.5"))
                .hasMessageContaining("twilight p must be above 0");
        assertThat(full().attention((String) null).build().attention()).isNull();
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
