package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.kv.KvSequence;

/**
 * Consecutive tokens of a span whose queries of one KV head read the same {@link TokenList}.
 *
 * @param firstRow row of the first token in the step's activations
 * @param firstPosition slot and position of the first token
 * @param tokens how many
 * @param window slots that a token may look back on, itself included
 */
record QueryTile(KvSequence sequence, int layer, int kvHead, int firstRow, int firstPosition, int tokens, int window) {

    /** Position after the last token. */
    int endPosition() {
        return firstPosition + tokens;
    }

    /** First slot that the token at {@code position} sees, by the place at which it is scored. */
    int firstVisible(int position, int query) {
        int place = query == TokenList.CLOSED_UP ? position - sequence.gap() : position;
        return Math.max(0, place - window + 1);
    }
}
