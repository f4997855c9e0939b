package io.github.skim4j.cuda;

import io.github.skim4j.engine.backend.LastSelection;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.kv.KvSequence;
import io.github.skim4j.engine.model.ModelConfig;
import java.util.List;

/** Places on the device for the pages that decoded tokens rank highest, which those after them read too: one for each sequence. */
final class SelectionSlots {

    /** A sequence's place. */
    static final class Slot {

        private final int index;
        private KvSequence sequence;
        private LastSelection token;
        private long lastUse;

        private Slot(int index) {
            this.index = index;
        }

        int index() {
            return index;
        }

        /** The token whose pages are there, or go there in this step if it is the step's own. */
        LastSelection token() {
            return token;
        }
    }

    private final ModelConfig config;
    private final Slot[] slots;
    private long uses;

    /** @param count most spans of a step */
    SelectionSlots(ModelConfig config, int count) {
        this.config = config;
        slots = new Slot[count];
        for (int i = 0; i < count; i++) {
            slots[i] = new Slot(i);
        }
    }

    /** Those of the sequences of a step's spans; {@code null} where no selection serves several tokens. */
    Slot[] of(List<Span> spans) {
        return spans.stream().map(this::of).toArray(Slot[]::new);
    }

    /** Where a sequence has none, it takes the one that was used longest ago. */
    private Slot of(Span span) {
        boolean isOf = LastSelection.isOf(span);
        Slot slot = find(span.sequence(), isOf);
        if (!isOf) {
            if (slot != null) {
                slot.sequence = null;
                slot.lastUse = 0;
            }
            return null;
        }
        LastSelection before = slot.sequence == span.sequence() ? slot.token : null;
        slot.sequence = span.sequence();
        slot.token = LastSelection.of(span, before, config);
        slot.lastUse = ++uses;
        return slot;
    }

    private Slot find(KvSequence sequence, boolean orOldest) {
        Slot oldest = slots[0];
        for (Slot slot : slots) {
            if (slot.sequence == sequence) {
                return slot;
            }
            oldest = slot.lastUse < oldest.lastUse ? slot : oldest;
        }
        return orOldest ? oldest : null;
    }
}
