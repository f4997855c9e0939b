package io.github.skim4j.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.skim4j.cuda.Step.LogitRow;
import io.github.skim4j.cuda.Step.Observed;
import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.attention.Dense;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.backend.Span.Logits;
import io.github.skim4j.engine.backend.TokenDraw;
import io.github.skim4j.engine.decode.Eviction;
import io.github.skim4j.engine.kv.KvSequence;
import io.github.skim4j.engine.kv.PagePool;
import java.util.List;
import org.junit.jupiter.api.Test;

class StepTest {

    private static Span span(int count, Logits logits) {
        return span(count, new Dense(), logits);
    }

    private static Span span(int count, AttentionMethod method, Logits logits) {
        return new Span(new KvSequence(new PagePool(4), 16), new int[count], 0, count, method, logits);
    }

    @Test
    void putsSingleTokensFirstAndKeepsTheOrderOtherwise() {
        List<Span> spans = List.of(
                span(5, Logits.LAST),
                span(1, Logits.TOKEN),
                span(3, Logits.ALL),
                span(1, Logits.NONE),
                span(2, Logits.NONE));
        Step step = Step.of(spans);
        assertThat(step.origins()).containsExactly(1, 3, 0, 2, 4);
        assertThat(step.entries()).isEqualTo(2);
        assertThat(step.chunks()).isEqualTo(3);
        assertThat(step.rows()).isEqualTo(12);
        assertThat(step.longestChunk()).isEqualTo(5);
        assertThat(step.logitRows()).extracting(LogitRow::row).containsExactly(0, 6, 7, 8, 9);
        assertThat(step.wantsLogits()).isTrue();
    }

    @Test
    void aStepOfSingleTokensHasNoChunks() {
        Step step = Step.of(List.of(span(1, Logits.LAST), span(1, Logits.LAST)));
        assertThat(step.chunks()).isZero();
        assertThat(step.isDecode()).isTrue();
        assertThat(step.longestChunk()).isZero();
        assertThat(step.logitRows()).extracting(LogitRow::row).containsExactly(0, 1);
    }

    @Test
    void theLongestListIsThatOfATokenByItselfAndLeavesOutWhatWasEvicted() {
        PagePool pool = new PagePool(64);
        KvSequence gapped = filled(pool, 400);
        gapped.evict(4, 340);
        KvSequence whole = filled(pool, 60);
        KvSequence chunk = filled(pool, 200);
        Step step = Step.of(List.of(token(gapped), token(whole)));
        assertThat(step.mostSlotsOfEntries())
                .as("a page of sinks, 61 tokens on the pages from 336 on")
                .isEqualTo(81);
        Span chunked = new Span(chunk, new int[8], 0, 8, new Dense(), Logits.NONE);
        assertThat(Step.of(List.of(token(whole), chunked)).mostSlotsOfEntries()).isEqualTo(61);
        assertThat(Step.of(List.of(chunked)).mostSlotsOfEntries()).isZero();
    }

    private static KvSequence filled(PagePool pool, int tokens) {
        KvSequence sequence = new KvSequence(pool, 16);
        assertThat(sequence.reserve(tokens)).isTrue();
        sequence.advance(tokens);
        return sequence;
    }

    private static Span token(KvSequence sequence) {
        return new Span(sequence, new int[1], 0, 1, new Dense(), Logits.TOKEN);
    }

    @Test
    void rowsComeWithTheirSpansDrawAndGreedyOnesWithoutAndInThePadding() {
        TokenDraw draw = new TokenDraw(1, 0, 0.9, 0, 0.25);
        KvSequence sequence = new KvSequence(new PagePool(4), 16);
        Span drawn = new Span(sequence, new int[1], 0, 1, new Dense(), Logits.TOKEN, draw, null);
        Step step = Step.of(List.of(span(1, Logits.NONE), drawn));
        assertThat(step.wantsLogits()).isFalse();
        assertThat(step.logitRows()).containsExactly(new LogitRow(1, draw));
        assertThat(step.allRows(4))
                .containsExactly(
                        new LogitRow(0, TokenDraw.GREEDY),
                        new LogitRow(1, draw),
                        new LogitRow(2, TokenDraw.GREEDY),
                        new LogitRow(3, TokenDraw.GREEDY));
    }

    private static Observed observed(String method, int denseUntil, int length, int count) {
        KvSequence sequence = new KvSequence(new PagePool(20), 16);
        sequence.reserve(length);
        sequence.advance(length);
        Eviction eviction = new Eviction(AttentionMethod.parse(method), denseUntil);
        return Observed.of(
                new Span(sequence, new int[count], 0, count, new Dense(), Logits.NONE, null, eviction.observation()));
    }

    @Test
    void observesTheQueriesByWhichAMethodDecides() {
        assertThat(observed("h2o:budget=20", 100, 30, 50)).isEqualTo(new Observed(0, 50));
        assertThat(observed("tova:budget=20", 100, 60, 40)).isEqualTo(new Observed(39, 1));
        assertThat(observed("tova:budget=20", 100, 30, 40).count()).isZero();
        assertThat(observed("tova:budget=20", 100, 120, 1)).isEqualTo(new Observed(0, 1));
        assertThat(observed("snapkv:budget=20,window=16", 100, 60, 40)).isEqualTo(new Observed(24, 16));
        assertThat(observed("snapkv:budget=20,window=16", 100, 90, 10)).isEqualTo(new Observed(0, 10));
        assertThat(observed("snapkv:budget=20,window=16", 100, 100, 1).count()).isZero();
        assertThat(observed("streaming-llm:budget=20", 100, 30, 50).count()).isZero();
    }

    @Test
    void tokensThatSelectAreEntriesBehindSingleOnes() {
        AttentionMethod quest = AttentionMethod.parse("quest:budget=25%");
        Step step = Step.of(List.of(
                span(4, Logits.LAST), span(3, quest, Logits.ALL), span(1, Logits.LAST), span(1, quest, Logits.LAST)));
        assertThat(step.origins()).containsExactly(2, 3, 1, 0);
        assertThat(step.entries()).isEqualTo(5);
        assertThat(step.chunks()).isEqualTo(1);
        assertThat(step.longestChunk()).isEqualTo(4);
        assertThat(step.isDecode()).isFalse();
        assertThat(step.logitRows()).extracting(LogitRow::row).containsExactly(0, 1, 2, 3, 4, 8);
    }
}
