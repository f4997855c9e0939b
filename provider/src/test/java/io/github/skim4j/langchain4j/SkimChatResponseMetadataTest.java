package io.github.skim4j.langchain4j;

import static org.assertj.core.api.Assertions.assertThat;

import dev.langchain4j.model.output.FinishReason;
import dev.langchain4j.model.output.TokenUsage;
import java.time.Duration;
import org.junit.jupiter.api.Test;

class SkimChatResponseMetadataTest {

    private static SkimChatResponseMetadata.Builder full() {
        return SkimChatResponseMetadata.builder()
                .id("1")
                .modelName("m")
                .tokenUsage(new TokenUsage(3, 4))
                .finishReason(FinishReason.STOP)
                .timeToFirstToken(Duration.ofMillis(20))
                .tokensPerSecond(50.0)
                .attendedDensity(0.25)
                .tokensEvicted(7L);
    }

    @Test
    void toBuilderKeepsEveryField() {
        SkimChatResponseMetadata metadata = full().build();

        assertThat(metadata.toBuilder().build()).isEqualTo(metadata).hasSameHashCodeAs(metadata);
        assertThat(metadata.toBuilder().tokensEvicted(8L).build())
                .isEqualTo(full().tokensEvicted(8L).build());
    }

    @Test
    void equalsSeesEachOfOurOwn() {
        assertThat(full().build())
                .isNotEqualTo(full().id("2").build())
                .isNotEqualTo(full().timeToFirstToken(Duration.ZERO).build())
                .isNotEqualTo(full().tokensPerSecond(1.0).build())
                .isNotEqualTo(full().attendedDensity(1.0).build())
                .isNotEqualTo(full().tokensEvicted(0L).build());
    }

    @Test
    void toStringNamesEveryField() {
        assertThat(full().build().toString())
                .contains("id='1'", "modelName='m'", "finishReason=STOP", "timeToFirstToken=PT0.02S")
                .contains("tokensPerSecond=50.0", "attendedDensity=0.25", "tokensEvicted=7");
    }
}
