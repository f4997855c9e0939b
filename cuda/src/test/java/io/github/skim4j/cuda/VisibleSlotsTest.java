package io.github.skim4j.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.skim4j.engine.attention.Dense;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.backend.Span.Logits;
import io.github.skim4j.engine.kv.KvSequence;
import io.github.skim4j.engine.kv.PagePool;
import java.util.BitSet;
import java.util.Random;
import org.junit.jupiter.api.Test;

class VisibleSlotsTest {

    private static final int ALL = Integer.MAX_VALUE;

    private static KvSequence sequence(int pageSize, int length) {
        KvSequence sequence = new KvSequence(new PagePool(100), pageSize);
        sequence.reserve(length);
        sequence.advance(length);
        return sequence;
    }

    private static VisibleSlots visible(KvSequence sequence, int index, int window) {
        return VisibleSlots.of(
                new Span(sequence, new int[index + 1], 0, index + 1, new Dense(), Logits.NONE), index, window);
    }

    @Test
    void aTokenSeesWhatIsBeforeIt() {
        KvSequence sequence = sequence(16, 40);
        assertThat(visible(sequence, 2, ALL)).isEqualTo(new VisibleSlots(0, 0, 0, 43, 16));
        assertThat(visible(sequence, 2, 10)).isEqualTo(new VisibleSlots(0, 0, 33, 43, 16));
        assertThat(visible(sequence, 0, ALL).pages()).isEqualTo(3);
        assertThat(visible(sequence, 0, 10).pages()).isEqualTo(2);
    }

    @Test
    void aPackedSequenceIsSeenWhole() {
        KvSequence sequence = sequence(16, 40);
        sequence.pack(20);
        assertThat(visible(sequence, 0, 10)).isEqualTo(new VisibleSlots(0, 0, 0, 21, 16));
    }

    @Test
    void sinksThatShareAPageWithTheWindowStayWhereTheyAre() {
        KvSequence sequence = sequence(64, 100);
        sequence.evict(4, 30);
        VisibleSlots visible = visible(sequence, 0, ALL);
        assertThat(visible).isEqualTo(new VisibleSlots(0, 4, 30, 101, 64));
        assertThat(visible.tokens()).isEqualTo(75);
        assertThat(visible.pages()).isEqualTo(2);
    }

    @Test
    void countsTokensAndPagesOfAnySinksAndWindow() {
        Random random = new Random(1);
        for (int i = 0; i < 500; i++) {
            int pageSize = 16 << random.nextInt(3);
            int length = 10 + random.nextInt(300);
            int windowStart = 1 + random.nextInt(length);
            int sinks = random.nextInt(windowStart);
            int window = 1 + random.nextInt(400);
            KvSequence sequence = sequence(pageSize, length);
            sequence.evict(sinks, windowStart);
            int tokens = 0;
            BitSet pages = new BitSet();
            for (int slot = 0; slot <= length; slot++) {
                boolean seen = slot < sinks
                        ? slot > length - sequence.gap() - window
                        : slot >= windowStart && slot > length - window;
                if (seen) {
                    tokens++;
                    pages.set(slot / pageSize);
                }
            }
            VisibleSlots visible = visible(sequence, 0, window);
            String what = visible + " of " + length + ", " + sinks + ", " + windowStart + ", " + window;
            assertThat(visible.tokens()).as(what).isEqualTo(tokens);
            assertThat(visible.pages()).as(what).isEqualTo(pages.cardinality());
        }
    }
}
