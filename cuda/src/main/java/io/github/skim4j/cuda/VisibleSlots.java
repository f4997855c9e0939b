package io.github.skim4j.cuda;

import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.kv.KvSequence;

/**
 * What a token sees of the pages that its sequence holds, by their slots: those of pages that lie wholly in the gap between sinks and
 * window are not counted. In a packed sequence it may see fewer, since each KV head has tokens of its own.
 *
 * @param sinkFirst sinks are the slots [{@code sinkFirst}, {@code sinkLast})
 * @param first the others are the slots [{@code first}, {@code last}), the token's own the last
 */
record VisibleSlots(int sinkFirst, int sinkLast, int first, int last, int pageSize) {

    /**
     * @param index of the token in its span
     * @param window positions that it may look back on, its own included
     */
    static VisibleSlots of(Span span, int index, int window) {
        KvSequence sequence = span.sequence();
        int pageSize = sequence.pageSize();
        int end = sequence.slots() + index + 1;
        if (sequence.isPacked()) {
            return new VisibleSlots(0, 0, 0, end, pageSize);
        }
        int gap = sequence.gap();
        int first = Math.max(0, end - window);
        if (gap == 0) {
            return new VisibleSlots(0, 0, first, end, pageSize);
        }
        // Sinks stand right before the window.
        int sinkFirst = Math.min(sequence.sinks(), Math.max(0, end - gap - window));
        int left = leftOut(sequence);
        return new VisibleSlots(
                sinkFirst, sequence.sinks(), Math.max(first, sequence.windowStart()) - left, end - left, pageSize);
    }

    /** Slots of pages that lie wholly in the gap, which come before those of the window. */
    static int leftOut(KvSequence sequence) {
        int pageSize = sequence.pageSize();
        int sinkPages = (sequence.sinks() + pageSize - 1) / pageSize;
        return Math.max(0, sequence.windowStart() / pageSize - sinkPages) * pageSize;
    }

    int tokens() {
        return sinkLast - sinkFirst + last - first;
    }

    /** Pages on which the tokens lie. */
    int pages() {
        int pages = (last - 1) / pageSize + 1 - first / pageSize;
        if (sinkLast == sinkFirst) {
            return pages;
        }
        int lastSinkPage = (sinkLast - 1) / pageSize;
        return pages + lastSinkPage + 1 - sinkFirst / pageSize - (lastSinkPage == first / pageSize ? 1 : 0);
    }
}
