package io.github.skim4j.cuda;

import io.github.skim4j.engine.attention.Dense;
import io.github.skim4j.engine.attention.Tova;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.backend.Span.Logits;
import io.github.skim4j.engine.backend.TokenDraw;
import java.util.ArrayList;
import java.util.List;

/**
 * The spans of a step in the order of their rows. A span is sequence {@code s} of the step where it stands at {@code s}. First come
 * the entries, rows that are attended one by one: single tokens, so that such a row has its sequence's number, then tokens that each
 * select for themselves. Behind them are the chunks of prompts that are attended as a whole.
 */
final class Step {

    private static final int ORDERS = 3;

    private final List<Span> spans = new ArrayList<>();
    private final List<Integer> origins = new ArrayList<>();
    private int entries;
    private int chunks;
    private int rows;
    private int longestChunk;
    private int longestOfEntries;
    private int mostSlotsOfEntries;
    private boolean isDense = true;
    private boolean closesUp;
    private boolean hasPacked;
    private boolean records;
    private boolean observes;
    private boolean wantsLogits;

    static Step of(List<Span> spans) {
        Step step = new Step();
        for (int order = 0; order < ORDERS; order++) {
            for (int i = 0; i < spans.size(); i++) {
                if (order(spans.get(i)) == order) {
                    step.origins.add(i);
                    step.add(spans.get(i));
                }
            }
        }
        return step;
    }

    private static int order(Span span) {
        return span.count() == 1 ? 0 : isChunk(span) ? 2 : 1;
    }

    private void add(Span span) {
        spans.add(span);
        rows += span.count();
        if (isChunk(span)) {
            chunks++;
            longestChunk = Math.max(longestChunk, span.count());
        } else {
            entries += span.count();
            longestOfEntries = Math.max(longestOfEntries, span.count());
            int slots =
                    VisibleSlots.of(span, span.count() - 1, Integer.MAX_VALUE).last();
            mostSlotsOfEntries = Math.max(mostSlotsOfEntries, slots);
        }
        isDense &= span.attention() instanceof Dense;
        closesUp |= span.sequence().gap() > 0;
        hasPacked |= span.sequence().isPacked();
        records |= span.observation() != null;
        observes |= Observed.of(span).count > 0;
        wantsLogits |= span.logits() == Logits.LAST || span.logits() == Logits.ALL;
    }

    static boolean isChunk(Span span) {
        return span.count() > 1
                && span.attention() instanceof Dense
                && span.sequence().evicted() == 0;
    }

    /** In the order of their rows. */
    List<Span> spans() {
        return spans;
    }

    /** Where each span stood in the caller's list. */
    List<Integer> origins() {
        return origins;
    }

    /** Rows that are attended one by one. */
    int entries() {
        return entries;
    }

    /** Spans that are attended as a whole, the last ones. */
    int chunks() {
        return chunks;
    }

    /** Tokens of all spans. */
    int rows() {
        return rows;
    }

    /** Whether all spans are single tokens. */
    boolean isDecode() {
        return entries == spans.size();
    }

    boolean isDense() {
        return isDense;
    }

    /** Whether a sequence lost tokens between sinks and window. */
    boolean closesUp() {
        return closesUp;
    }

    boolean hasPacked() {
        return hasPacked;
    }

    /** Whether a sequence's tokens have records. */
    boolean records() {
        return records;
    }

    /** Whether the attention of any token counts for eviction. */
    boolean observes() {
        return observes;
    }

    /** Tokens of the longest chunk. */
    int longestChunk() {
        return longestChunk;
    }

    /** Tokens of the longest span whose tokens are attended one by one. */
    int longestOfEntries() {
        return longestOfEntries;
    }

    /** Slots of the longest list of all pages that a token has which is attended by itself. */
    int mostSlotsOfEntries() {
        return mostSlotsOfEntries;
    }

    /** Whether logits themselves are wanted, rather than tokens alone. */
    boolean wantsLogits() {
        return wantsLogits;
    }

    /**
     * Tokens of a span whose attention counts for eviction.
     *
     * @param from index of the first
     * @param count 0 if there are none
     */
    record Observed(int from, int count) {

        static Observed of(Span span) {
            Span.Observation observation = span.observation();
            if (observation == null) {
                return new Observed(0, 0);
            }
            int length = span.sequence().length();
            // To TOVA only the last query matters.
            int least = observation.method() instanceof Tova ? span.count() - 1 : 0;
            int from = Math.max(least, observation.from() - length);
            return new Observed(from, Math.max(0, Math.min(span.count(), observation.end() - length) - from));
        }
    }

    /** How many of a span's rows, the last ones, need logits. */
    static int logitRows(Span span) {
        return switch (span.logits()) {
            case NONE -> 0;
            case TOKEN, LAST -> 1;
            case ALL -> span.count();
        };
    }

    /** The {@code rows} of a step of single tokens and padding. */
    List<LogitRow> allRows(int rows) {
        List<LogitRow> all = new ArrayList<>();
        for (int row = 0; row < rows; row++) {
            all.add(row < spans.size() ? LogitRow.of(row, spans.get(row)) : new LogitRow(row, TokenDraw.GREEDY));
        }
        return all;
    }

    /**
     * A row whose logits are wanted.
     *
     * @param draw how to pick a token from them; where none is wanted, the likeliest one, which costs least
     */
    record LogitRow(int row, TokenDraw draw) {

        static LogitRow of(int row, Span span) {
            return new LogitRow(row, span.draw() != null ? span.draw() : TokenDraw.GREEDY);
        }
    }

    /** Rows whose logits are wanted, span after span. */
    List<LogitRow> logitRows() {
        List<LogitRow> wanted = new ArrayList<>();
        int end = 0;
        for (Span span : spans) {
            end += span.count();
            for (int row = end - logitRows(span); row < end; row++) {
                wanted.add(LogitRow.of(row, span));
            }
        }
        return wanted;
    }
}
