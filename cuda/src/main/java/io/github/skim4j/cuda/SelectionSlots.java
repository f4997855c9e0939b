package io.github.skim4j.cuda;

import io.github.skim4j.engine.backend.LastSelection;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.kv.KvSequence;
import io.github.skim4j.engine.model.ModelConfig;

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

    /** That of the span's sequence; {@code null} if no selection serves several tokens. The one that was used longest ago is taken. */
    Slot of(Span span) {
        boolean isOf = LastSelection.isOf(span);
        Slot slot = find(span.sequence(), isOf);
        if (!isOf) {
            if (slot != null) {
                slot.sequence = null;
                slot.lastUse = 0;
            }
            return null;
        }
        LastSelection itself = LastSelection.of(span);
        if (slot.sequence != span.sequence() || !slot.token.serves(span, config) && !slot.token.equals(itself)) {
            slot.sequence = span.sequence();
            slot.token = itself;
        }
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
