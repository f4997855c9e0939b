package io.github.skim4j.engine.backend;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.kv.KvSequence;
import io.github.skim4j.engine.kv.PagePool;
import io.github.skim4j.engine.model.Architecture;
import io.github.skim4j.engine.model.ModelConfig;
import io.github.skim4j.engine.model.Rope;
import org.junit.jupiter.api.Test;

class LastSelectionTest {

    private static final String FOUR = "quest:budget=25%,reuse-interval=4";

    private static ModelConfig config(int window) {
        Rope rope = new Rope(10_000, new Rope.None(), false);
        return new ModelConfig(Architecture.LLAMA, 9, 8, 8, 1, 1, 1, 8, 4096, 1e-5f, rope, window, 0, false, false);
    }

    private static Span span(String method, int position, int count) {
        KvSequence sequence = new KvSequence(new PagePool(100), 16);
        sequence.reserve(position);
        sequence.advance(position);
        return new Span(sequence, new int[count], 0, count, AttentionMethod.parse(method), Span.Logits.NONE);
    }

    private static boolean serves(int selected, String method, int position, int count, int window) {
        LastSelection last = new LastSelection(AttentionMethod.parse(FOUR), selected);
        return last.serves(span(method, position, count), config(window));
    }

    @Test
    void servesTheTokensThatFollowUpToTheInterval() {
        for (int after = 1; after < 4; after++) {
            assertThat(serves(500, FOUR, 500 + after, 1, 0)).isTrue();
        }
        assertThat(serves(500, FOUR, 504, 1, 0)).isFalse();
        assertThat(serves(500, FOUR, 500, 1, 0)).isFalse();
        assertThat(serves(500, FOUR, 499, 1, 0)).isFalse();
    }

    @Test
    void servesNoOtherMethod() {
        assertThat(serves(500, "quest:budget=12.5%,reuse-interval=4", 501, 1, 0))
                .isFalse();
        assertThat(serves(500, "dense", 501, 1, 0)).isFalse();
    }

    @Test
    void tokensOfASpanRankEachForItself() {
        assertThat(serves(500, FOUR, 501, 2, 0)).isFalse();
        assertThat(LastSelection.isOf(span(FOUR, 501, 2))).isFalse();
        assertThat(LastSelection.isOf(span(FOUR, 501, 1))).isTrue();
    }

    @Test
    void thereIsNoneWhereEachTokenRanksOrNothingDoes() {
        assertThat(LastSelection.isOf(span("quest:budget=25%,reuse-interval=1", 501, 1)))
                .isFalse();
        assertThat(LastSelection.isOf(span("dense", 501, 1))).isFalse();
        assertThat(LastSelection.isOf(span("snapkv:budget=100", 501, 1))).isFalse();
        assertThat(LastSelection.isOf(span("twilight:reuse-interval=2", 501, 1)))
                .isTrue();
        assertThat(LastSelection.isOf(span("vattention:reuse-interval=2", 501, 1)))
                .isTrue();
    }

    /** The first page of the window of 100 tokens is the 25th from position 499 to 514. */
    @Test
    void endsWhereTheSlidingWindowLeavesAPage() {
        assertThat(serves(512, FOUR, 514, 1, 100)).isTrue();
        assertThat(serves(512, FOUR, 515, 1, 100)).isFalse();
        assertThat(serves(50, FOUR, 53, 1, 100)).isTrue();
    }
}
