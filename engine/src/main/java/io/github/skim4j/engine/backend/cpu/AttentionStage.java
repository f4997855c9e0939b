package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.attention.Dense;
import io.github.skim4j.engine.attention.StreamingLlm;
import java.util.List;

/**
 * A step in deciding what a query tile reads. A method is a pipeline of up to five: evict (done between steps, on {@link
 * io.github.skim4j.engine.kv.KvSequence}), always, select, prune and sample; each changes the list that the one before left.
 * What the list holds in the end is attended by the one {@link Attention}.
 */
@FunctionalInterface
interface AttentionStage {

    void apply(QueryTile tile, TokenList list);

    /** The stages of a method, in order. */
    static List<AttentionStage> of(AttentionMethod method) {
        // Eviction alone makes StreamingLLM: what is left is read whole.
        if (method instanceof Dense || method instanceof StreamingLlm) {
            return List.of(AttentionStage::addRetained);
        }
        throw new IllegalArgumentException("the CPU backend has no attention method " + method.name());
    }

    /** Always: all that the sequence still has, up to the tile's last token. */
    private static void addRetained(QueryTile tile, TokenList list) {
        int sinks = tile.sequence().sinks();
        int windowStart = tile.sequence().windowStart();
        int visible = tile.firstVisible(tile.firstPosition(), TokenList.CLOSED_UP);
        addSlots(tile, list, visible, sinks, TokenList.CLOSED_UP);
        visible = tile.firstVisible(tile.firstPosition(), TokenList.POSITIONED);
        addSlots(tile, list, Math.max(windowStart, visible), tile.endPosition(), TokenList.POSITIONED);
    }

    private static void addSlots(QueryTile tile, TokenList list, int from, int end, int query) {
        if (from >= end) {
            return;
        }
        int pageSize = tile.sequence().pageSize();
        for (int slot = from / pageSize * pageSize; slot < end; slot += pageSize) {
            list.add(
                    tile.sequence().page(slot / pageSize),
                    slot,
                    Math.max(0, from - slot),
                    Math.min(pageSize, end - slot),
                    0,
                    query);
        }
    }
}
