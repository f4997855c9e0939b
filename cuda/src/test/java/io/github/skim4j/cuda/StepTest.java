package io.github.skim4j.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.skim4j.engine.attention.Dense;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.backend.Span.Logits;
import io.github.skim4j.engine.kv.KvSequence;
import io.github.skim4j.engine.kv.PagePool;
import java.util.List;
import org.junit.jupiter.api.Test;

class StepTest {

    private static Span span(int count, Logits logits) {
        return new Span(new KvSequence(new PagePool(4), 16), new int[count], 0, count, new Dense(), logits);
    }

    @Test
    void putsSingleTokensFirstAndKeepsTheOrderOtherwise() {
        List<Span> spans = List.of(
                span(5, Logits.LAST),
                span(1, Logits.BEST),
                span(3, Logits.ALL),
                span(1, Logits.NONE),
                span(2, Logits.NONE));
        Step step = Step.of(spans);
        assertThat(step.origins()).containsExactly(1, 3, 0, 2, 4);
        assertThat(step.singles()).isEqualTo(2);
        assertThat(step.chunks()).isEqualTo(3);
        assertThat(step.rows()).isEqualTo(12);
        assertThat(step.longestChunk()).isEqualTo(5);
        assertThat(step.logitRows()).containsExactly(0, 6, 7, 8, 9);
    }

    @Test
    void aStepOfSingleTokensHasNoChunks() {
        Step step = Step.of(List.of(span(1, Logits.LAST), span(1, Logits.LAST)));
        assertThat(step.chunks()).isZero();
        assertThat(step.longestChunk()).isZero();
        assertThat(step.logitRows()).containsExactly(0, 1);
    }
}
