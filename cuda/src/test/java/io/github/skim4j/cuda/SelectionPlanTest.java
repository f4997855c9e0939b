package io.github.skim4j.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.skim4j.cuda.RowMethod.Rank;
import io.github.skim4j.cuda.SelectionPlan.Interval;
import io.github.skim4j.cuda.SelectionPlan.Stages;
import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.backend.BackendException;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.backend.Span.Logits;
import io.github.skim4j.engine.kv.KvSequence;
import io.github.skim4j.engine.kv.PagePool;
import io.github.skim4j.engine.model.Architecture;
import io.github.skim4j.engine.model.ModelConfig;
import io.github.skim4j.engine.model.Rope;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

class SelectionPlanTest {

    static final ModelConfig CONFIG = new ModelConfig(
            Architecture.LLAMA,
            100,
            256,
            512,
            4,
            4,
            2,
            64,
            4096,
            1e-5f,
            new Rope(10_000, new Rope.None(), false),
            0,
            0,
            false,
            false);

    private static final String REUSING = "quest:budget=256,dense-layers=2,reuse-interval=3";

    private final SelectionSlots slots = new SelectionSlots(CONFIG, 2);

    private SelectionPlan next(KvSequence sequence, String method, int count) {
        sequence.reserve(count);
        Span span = new Span(sequence, new int[count], 0, count, AttentionMethod.parse(method), Logits.LAST);
        SelectionPlan plan = SelectionPlan.of(Step.of(List.of(span)), CONFIG, slots);
        sequence.advance(count);
        return plan;
    }

    private static KvSequence sequence(int length) {
        KvSequence sequence = new KvSequence(new PagePool(40_000), 16);
        sequence.reserve(length);
        sequence.advance(length);
        return sequence;
    }

    @Test
    void tokensThatReadThePagesOfOneBeforeThemRankNone() {
        KvSequence sequence = sequence(1006);
        List<RowMethod> rows = Stream.generate(() -> next(sequence, REUSING, 1))
                .limit(7)
                .map(plan -> interval(plan, 2).methods().get(0))
                .toList();
        assertThat(rows)
                .extracting(RowMethod::first)
                .containsExactly(
                        Rank.MOMENTS, Rank.REUSED, Rank.REUSED, Rank.MOMENTS, Rank.REUSED, Rank.REUSED, Rank.MOMENTS);
        assertThat(rows).extracting(RowMethod::kept).containsExactly(1, -1, -1, 1, -1, -1, 1);
        // The third's page is one more.
        assertThat(rows).extracting(RowMethod::firstPages).containsExactly(16, 16, 17, 16, 16, 16, 16);
        assertThat(interval(next(sequence, REUSING, 1), 0).isListed()).isFalse();
    }

    @Test
    void stepsThatOnlyReadPagesAgainTakeOneKernel() {
        KvSequence sequence = sequence(998);
        Stages ranks = interval(next(sequence, REUSING, 1), 2).stages();
        Stages reuses = interval(next(sequence, REUSING, 1), 2).stages();
        assertThat(ranks.first()).hasSize(1);
        assertThat(ranks.reuses()).isTrue();
        assertThat(reuses.first()).isEmpty();
        assertThat(reuses.reuses()).isTrue();
        assertThat(reuses.none()).isFalse();
        assertThat(interval(plan(998, "quest:budget=256"), 2).stages().reuses()).isFalse();
    }

    @Test
    void whereAllPagesWereReadThereIsNothingToReadAgain() {
        KvSequence sequence = sequence(255);
        assertThat(next(sequence, REUSING, 1).lists()).isFalse();
        RowMethod second = interval(next(sequence, REUSING, 1), 2).methods().get(0);
        assertThat(second.first()).isEqualTo(Rank.MOMENTS);
        assertThat(second.kept()).isZero();
    }

    @Test
    void aSpanOfTokensEndsWhatOneBeforeItRanked() {
        String four = "quest:budget=256,dense-layers=2,reuse-interval=4";
        KvSequence sequence = sequence(990);
        next(sequence, four, 1);
        next(sequence, four, 2);
        assertThat(interval(next(sequence, four, 1), 2).methods().get(0).kept()).isEqualTo(1);
    }

    @Test
    void theSlotThatWasUsedLongestAgoIsTaken() {
        KvSequence first = sequence(990);
        KvSequence second = sequence(990);
        KvSequence third = sequence(990);
        assertThat(kept(first)).isEqualTo(1);
        assertThat(kept(second)).isEqualTo(2);
        assertThat(kept(first)).isEqualTo(-1);
        assertThat(kept(third)).isEqualTo(2);
        assertThat(kept(second)).isEqualTo(1);
        assertThat(kept(third)).isEqualTo(-2);
    }

    private int kept(KvSequence sequence) {
        return interval(next(sequence, REUSING, 1), 2).methods().get(0).kept();
    }

    /** A step that decodes the token behind {@code length} others of each method's sequence. */
    private static SelectionPlan plan(int length, String... methods) {
        List<Span> spans = Arrays.stream(methods)
                .map(method -> {
                    KvSequence sequence = new KvSequence(new PagePool(40_000), 16);
                    sequence.reserve(length);
                    sequence.advance(length);
                    return new Span(sequence, new int[1], 0, 1, AttentionMethod.parse(method), Logits.LAST);
                })
                .toList();
        return SelectionPlan.of(Step.of(spans), CONFIG, new SelectionSlots(CONFIG, 16));
    }

    @Test
    void denseLayersComeFirst() {
        SelectionPlan plan = plan(999, "quest:budget=256,dense-layers=2");
        assertThat(interval(plan, 1).isListed()).isFalse();
        assertThat(interval(plan, 2).isListed()).isTrue();
        assertThat(interval(plan, 2).methods().get(0).first()).isEqualTo(Rank.MOMENTS);
        assertThat(interval(plan, 2).methods().get(0).firstPages()).isEqualTo(16);
    }

    @Test
    void whereABudgetHasRoomForAllPagesThereAreNoLists() {
        assertThat(plan(255, "quest:budget=256", "sketch:budget=256").lists()).isFalse();
        assertThat(plan(256, "quest:budget=256").lists()).isTrue();
        // Pruning and sampling have work whatever the ranks leave over.
        assertThat(plan(255, "twilight:base=quest,budget=256").lists()).isTrue();
    }

    @Test
    void othersOfTheBatchSelectAllTheSame() {
        SelectionPlan plan = plan(300, "quest:budget=256,dense-layers=0", "quest:budget=512,dense-layers=0");
        assertThat(interval(plan, 0).methods().get(0).first()).isEqualTo(Rank.MOMENTS);
        assertThat(interval(plan, 0).methods().get(1)).isEqualTo(RowMethod.DENSE);
    }

    @Test
    void saysHowLongListsCanBeWhereTheMethodSaysSo() {
        assertThat(mostPages(999, "quest:budget=256,dense-layers=0")).isEqualTo(16);
        assertThat(mostPages(999, "sketch:budget=272,dense-layers=0")).isEqualTo(32);
        assertThat(mostPages(999, "quest:budget=256,dense-layers=0", "sketch:budget=700,dense-layers=0"))
                .isEqualTo(64);
        assertThat(mostPages(999, "twilight:base=quest,budget=256,dense-layers=0"))
                .isEqualTo(16);
        // First and latest tokens are kept whatever the budget: 4 and 64 of them lie on up to 7 pages.
        assertThat(mostPages(999, "quest:budget=96,dense-layers=0")).isEqualTo(8);
        assertThat(mostPages(999, "vattention:budget=256,dense-layers=0")).isEqualTo(Integer.MAX_VALUE);
        assertThat(mostPages(999, "twilight:base=dense,dense-layers=0")).isEqualTo(Integer.MAX_VALUE);
        assertThat(mostPages(999, "quest:budget=256,dense-layers=0", "dense")).isEqualTo(Integer.MAX_VALUE);
    }

    @Test
    void kernelsAreOfTheSizeOfTheLongestListThatIsCut() {
        String quest = "quest:budget=256,dense-layers=0";
        assertThat(stages(512 * 16 - 1, quest).size()).isEqualTo(512);
        assertThat(stages(512 * 16, quest).size()).isEqualTo(2048);
        assertThat(stages(4096 * 16, quest).size()).isEqualTo(8192);
        // What is read whole is not cut, however long it is.
        assertThat(stages(4096 * 16, "twilight:base=dense,dense-layers=0").size())
                .isEqualTo(512);
        assertThat(stages(4096 * 16, "quest:budget=50%,dense-layers=0", "dense").size())
                .isEqualTo(8192);
        assertThat(stages(4096 * 16, quest).secondSize()).isEqualTo(512);
        assertThat(stages(4096 * 16, "sketch:budget=3%,dense-layers=0").secondSize())
                .isEqualTo(2048);
        assertThat(stages(4096 * 16, "sketch:budget=256,coarse=0.1,dense-layers=0")
                        .secondSize())
                .isEqualTo(512);
        assertThat(stages(32768 * 16 - 1, quest).size()).isEqualTo(32768);
    }

    @Test
    void layersOfAnIntervalAreAllThatSelectAlike() {
        SelectionPlan plan = plan(999, "quest:budget=256,dense-layers=2", "sketch:budget=256,dense-layers=3", "dense");
        assertThat(plan.intervals()).extracting(Interval::from).containsExactly(0, 2, 3);
        assertThat(plan.intervals()).extracting(Interval::layers).containsExactly(2, 1, 1);
        assertThat(plan.intervals()).extracting(Interval::isListed).containsExactly(false, true, true);
        assertThat(plan(999, "quest:budget=256,dense-layers=9").lists()).isFalse();
    }

    @Test
    void contextsThatNoKernelCanRankAreRefusedWithWhatToChange() {
        requireRanks("quest:budget=256", 32768 * 16, 16);
        assertThatThrownBy(() -> requireRanks("quest:budget=256", 32768 * 16 + 1, 16))
                .isInstanceOf(BackendException.class)
                .hasMessage("the CUDA backend ranks 32768 pages at most, but with quest there are 32769 of 16 tokens in"
                        + " the context length of 524289: raise kv-cache.page-size, lower context-length or choose"
                        + " another attention.method");
        requireRanks("quest:budget=256", 32768 * 16 + 1, 32);
        assertThatThrownBy(() -> requireRanks("twilight:base=sketch,budget=3%", 1_000_000, 16))
                .hasMessageContaining("twilight");
        for (String other : List.of(
                "dense",
                "streaming-llm:budget=2048",
                "twilight:base=dense",
                "quest:budget=100%",
                "quest:budget=256,dense-layers=4")) {
            requireRanks(other, 1_000_000, 16);
        }
    }

    private static void requireRanks(String method, int contextLength, int pageSize) {
        CudaSelection.requireRanks(AttentionMethod.parse(method), CONFIG, contextLength, pageSize);
    }

    private static int mostPages(int length, String... methods) {
        return stages(length, methods).mostPages();
    }

    private static Stages stages(int length, String... methods) {
        return plan(length, methods).intervals().get(0).stages();
    }

    private static Interval interval(SelectionPlan plan, int layer) {
        return plan.intervals().get(plan.interval(layer));
    }
}
