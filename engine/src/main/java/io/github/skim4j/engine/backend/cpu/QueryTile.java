package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.backend.CounterRandom;
import io.github.skim4j.engine.kv.KvSequence;
import io.github.skim4j.engine.model.ModelConfig;

/**
 * Consecutive tokens of a span whose queries of one KV head read the same {@link TokenList}.
 *
 * @param firstRow row of the first token in the step's activations
 * @param firstPosition of the first token
 * @param tokens how many
 * @param window positions that a token may look back on, itself included
 */
record QueryTile(KvSequence sequence, int layer, int kvHead, int firstRow, int firstPosition, int tokens, int window) {

    /** Numbers of the first token's step, layer and KV head. */
    CounterRandom random(long seed) {
        return CounterRandom.of(seed, firstPosition, layer, kvHead);
    }

    /** Whether a tile of another layer in the same step sees the same slots. */
    boolean seesTheSame(QueryTile other) {
        return sequence == other.sequence
                && !sequence.isPacked()
                && firstPosition == other.firstPosition
                && tokens == other.tokens
                && window == other.window;
    }

    /** Position after the last token. */
    int endPosition() {
        return firstPosition + tokens;
    }

    /** Slot of the span's token at {@code position}. */
    int slot(int position) {
        return position - sequence.length() + sequence.slots();
    }

    /** Index of a query, row = token * group + head in the group, in arrays of [row of the step][heads]. */
    int index(ModelConfig config, int row) {
        int group = config.group();
        return (firstRow + row / group) * config.heads() + kvHead * group + row % group;
    }

    /** First slot, in a packed sequence position, that the token at {@code position} sees, by the place at which it is scored. */
    int firstVisible(int position, int query) {
        int place = query == TokenList.CLOSED_UP ? position - sequence.gap() : position;
        return Math.max(0, place - window + 1);
    }

    /** The tokens of an entry that the query at {@code position} reads; a list that is made for one has no others. */
    long visible(TokenList list, int entry, int position) {
        if (tokens == 1) {
            return list.mask(entry);
        }
        int slot = list.slot(entry);
        // Where slots are no positions, the list has what the window lets through.
        int from = sequence.isPacked() ? 0 : Math.max(0, firstVisible(position, list.query(entry)) - slot);
        int end = Math.min(sequence.pageSize(), slot(position) + 1 - slot);
        return list.mask(entry) & TokenList.range(from, end);
    }

    /** Whether the query at {@code position} reads all tokens of an entry. */
    boolean seesWhole(TokenList list, int entry, int position) {
        return visible(list, entry, position) == TokenList.range(0, sequence.pageSize());
    }

    /** Appends the tokens of slots {@code from} to {@code end}. */
    void addSlots(TokenList list, int from, int end, int query) {
        int pageSize = sequence.pageSize();
        for (int slot = from / pageSize * pageSize; slot < end; slot += pageSize) {
            long mask = TokenList.range(Math.max(0, from - slot), Math.min(pageSize, end - slot));
            list.add(sequence.page(slot / pageSize), slot, mask, 0, query);
        }
    }

    /** Appends all tokens that the sequence still has and the tile sees; of one that is not packed. */
    void addRetained(TokenList list) {
        int sinks = sequence.sinks();
        int visible = firstVisible(firstPosition, TokenList.CLOSED_UP);
        if (visible < sinks) {
            addSlots(list, visible, sinks, TokenList.CLOSED_UP);
        }
        int window = Math.max(sequence.windowStart(), firstVisible(firstPosition, TokenList.POSITIONED));
        addSlots(list, window, endPosition(), TokenList.POSITIONED);
    }
}
