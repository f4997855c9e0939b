package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.backend.LastSelection;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.kv.KvSequence;
import io.github.skim4j.engine.model.ModelConfig;
import java.util.Arrays;
import java.util.Map;
import java.util.WeakHashMap;

/** The pages that decoded tokens ranked highest, for the tokens after them. */
final class LastSelections {

    /** A KV head's pages in a layer. */
    static final class Kept {

        private LastSelection token;
        private int[] slots = {};
        private int count;

        /** Whether they are there for the token at {@code position}, which then ranks none itself. */
        boolean serves(int position) {
            return count > 0 && token.position() < position;
        }

        /** Takes the pages of a list. */
        void set(TokenList list) {
            count = list.size();
            slots = slots.length < count ? new int[count + count / 4] : slots;
            for (int e = 0; e < count; e++) {
                slots[e] = list.slot(e);
            }
        }

        /** Appends the entries of {@code all} whose pages these are, and those after them. */
        void addTo(TokenList list, TokenList all, int pageSize) {
            int end = 0;
            for (int i = 0; i < count && end < all.size(); i++) {
                // Where nothing was evicted, each page of the sequence has its entry.
                int entry = Math.min(all.size() - 1, end + Math.max(0, slots[i] - all.slot(end)) / pageSize);
                while (entry > end && all.slot(entry) > slots[i]) {
                    entry--;
                }
                if (all.slot(entry) == slots[i]) {
                    list.add(all, entry, entry + 1);
                    end = entry + 1;
                }
            }
            list.add(all, end, all.size());
        }
    }

    /** The last token of a sequence that ranked, and what it kept by layer and KV head. */
    final class OfSequence {

        private LastSelection token;
        private final Kept[] kept = new Kept[config.layers() * config.kvHeads()];

        private OfSequence() {
            Arrays.setAll(kept, list -> new Kept());
        }

        /** Where the token at {@code position} finds a KV head's pages, or leaves them; {@code null} if it does neither. */
        Kept kept(int position, int layer, int kvHead) {
            Kept own = kept[layer * config.kvHeads() + kvHead];
            if (!token.equals(own.token)) {
                own.token = token;
                own.count = 0;
            }
            return own.count > 0 || token.position() == position ? own : null;
        }
    }

    private final ModelConfig config;
    private final Map<KvSequence, OfSequence> sequences = new WeakHashMap<>();

    LastSelections(ModelConfig config) {
        this.config = config;
    }

    /** That of the span's sequence, with the span's own token if it ranks; {@code null} if no selection serves several tokens. */
    OfSequence of(Span span) {
        if (!LastSelection.isOf(span)) {
            sequences.remove(span.sequence());
            return null;
        }
        OfSequence last = sequences.computeIfAbsent(span.sequence(), sequence -> new OfSequence());
        last.token = LastSelection.of(span, last.token, config);
        return last;
    }
}
