package io.github.skim4j.langchain4j;

import static org.assertj.core.api.Assertions.assertThat;

import dev.langchain4j.model.output.FinishReason;
import dev.langchain4j.model.output.TokenUsage;
import io.github.skim4j.engine.AttentionStats;
import io.github.skim4j.engine.AttentionStats.Probe;
import io.github.skim4j.engine.AttentionStats.Time;
import java.time.Duration;
import org.junit.jupiter.api.Test;

class SkimChatResponseMetadataTest {

    private static final AttentionStats ATTENTION =
            new AttentionStats(25, 100, 7, 3, 30, 120, new Time(1, 8), new Probe(4, 3.6, 0.2));

    private static SkimChatResponseMetadata.Builder full() {
        return SkimChatResponseMetadata.builder()
                .id("1")
                .modelName("m")
                .tokenUsage(new TokenUsage(3, 4))
                .finishReason(FinishReason.STOP)
                .cachedTokens(2)
                .timeToFirstToken(Duration.ofMillis(20))
                .tokensPerSecond(50.0)
                .attention(ATTENTION);
    }

    @Test
    void tellsWhatAttentionRead() {
        SkimChatResponseMetadata metadata = full().build();

        assertThat(metadata.attention()).isEqualTo(ATTENTION);
        assertThat(metadata.attendedDensity()).isEqualTo(0.25);
        assertThat(metadata.attentionTraffic()).isEqualTo(0.25);
        assertThat(metadata.tokensRead()).isEqualTo(25);
        assertThat(metadata.pagesRead()).isEqualTo(3);
        assertThat(metadata.tokensEvicted()).isEqualTo(7);
        assertThat(metadata.keptMass()).isEqualTo(0.9);
        assertThat(metadata.outputError()).isEqualTo(0.05);
        assertThat(metadata.selectionTimeShare()).isEqualTo(0.125);
    }

    @Test
    void whatWasNotMeasuredHasNoFigures() {
        SkimChatResponseMetadata metadata =
                full().attention(AttentionStats.ofTokens(25, 100, 7)).build();

        assertThat(metadata.attendedDensity()).isEqualTo(0.25);
        assertThat(metadata.keptMass()).isNull();
        assertThat(metadata.outputError()).isNull();
        assertThat(metadata.selectionTimeShare()).isNull();
    }

    @Test
    void whatIsNotKnownIsNull() {
        SkimChatResponseMetadata metadata = SkimChatResponseMetadata.builder().build();

        assertThat(metadata.toBuilder().build()).isEqualTo(metadata).hasSameHashCodeAs(metadata);
        assertThat(metadata.attention()).isNull();
        assertThat(metadata)
                .hasToString(
                        "SkimChatResponseMetadata{id='null', modelName='null', tokenUsage=null, finishReason=null, "
                                + "cachedTokens=null, timeToFirstToken=null, tokensPerSecond=null, attendedDensity=null, attentionTraffic=null, "
                                + "tokensRead=null, pagesRead=null, tokensEvicted=null, keptMass=null, outputError=null, "
                                + "selectionTimeShare=null}");
    }

    @Test
    void toBuilderKeepsEveryField() {
        SkimChatResponseMetadata metadata = full().build();

        assertThat(metadata.toBuilder().build()).isEqualTo(metadata).hasSameHashCodeAs(metadata);
        assertThat(metadata.toBuilder().tokensPerSecond(8.0).build())
                .isEqualTo(full().tokensPerSecond(8.0).build());
    }

    @Test
    void equalsSeesEachOfOurOwn() {
        assertThat(full().build())
                .isNotEqualTo(full().id("2").build())
                .isNotEqualTo(full().cachedTokens(3).build())
                .isNotEqualTo(full().timeToFirstToken(Duration.ZERO).build())
                .isNotEqualTo(full().tokensPerSecond(1.0).build())
                .isNotEqualTo(full().attention(AttentionStats.NONE).build());
    }

    @Test
    void toStringNamesEveryFigure() {
        assertThat(full().build().toString())
                .contains("id='1'", "modelName='m'", "finishReason=STOP", "cachedTokens=2", "timeToFirstToken=PT0.02S")
                .contains("tokensPerSecond=50.0", "attendedDensity=0.25", "attentionTraffic=0.25", "tokensRead=25")
                .contains("pagesRead=3", "tokensEvicted=7", "keptMass=0.9", "outputError=0.05")
                .contains("selectionTimeShare=0.125");
    }
}
