package io.github.skim4j.cuda;

import io.github.skim4j.engine.attention.Dense;
import io.github.skim4j.engine.attention.Tova;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.backend.Span.Logits;
import io.github.skim4j.engine.backend.TokenDraw;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/**
 * The spans of a step in the order of their rows. A span is sequence {@code s} of the step where it stands at {@code s}. First come
 * the entries, rows that are attended one by one: single tokens, so that such a row has its sequence's number, then tokens that each
 * select for themselves. Behind them are the chunks of prompts that are attended as a whole.
 *
 * @param spans in the order of their rows
 * @param origins where each stood in the caller's list
 * @param entries rows that are attended one by one
 * @param chunks spans that are attended as a whole, the last ones
 * @param rows tokens of all spans
 */
record Step(List<Span> spans, List<Integer> origins, int entries, int chunks, int rows) {

    static Step of(List<Span> spans) {
        List<Integer> origins = IntStream.range(0, spans.size())
                .boxed()
                .sorted(Comparator.comparing(i -> order(spans.get(i))))
                .toList();
        List<Span> ordered = origins.stream().map(spans::get).toList();
        int rows = ordered.stream().mapToInt(Span::count).sum();
        int chunked = 0;
        int chunks = 0;
        for (Span span : ordered) {
            if (isChunk(span)) {
                chunks++;
                chunked += span.count();
            }
        }
        return new Step(ordered, origins, rows - chunked, chunks, rows);
    }

    private static int order(Span span) {
        return span.count() == 1 ? 0 : isChunk(span) ? 2 : 1;
    }

    static boolean isChunk(Span span) {
        return span.count() > 1
                && span.attention() instanceof Dense
                && span.sequence().evicted() == 0;
    }

    /** Whether all spans are single tokens. */
    boolean isDecode() {
        return entries == spans.size();
    }

    boolean isDense() {
        return spans.stream().allMatch(span -> span.attention() instanceof Dense);
    }

    /** Whether a sequence lost tokens between sinks and window. */
    boolean closesUp() {
        return spans.stream().anyMatch(span -> span.sequence().gap() > 0);
    }

    boolean hasPacked() {
        return spans.stream().anyMatch(span -> span.sequence().isPacked());
    }

    /** Whether a sequence's tokens have records. */
    boolean records() {
        return spans.stream().anyMatch(span -> span.observation() != null);
    }

    /** Whether the attention of any token counts for eviction. */
    boolean observes() {
        return spans.stream().anyMatch(span -> Observed.of(span).count > 0);
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

    /** Tokens of the longest chunk. */
    int longestChunk() {
        return spans.stream().filter(Step::isChunk).mapToInt(Span::count).max().orElse(0);
    }

    /** Tokens of the longest span whose tokens are attended one by one. */
    int longestOfEntries() {
        return spans.stream()
                .filter(span -> !isChunk(span))
                .mapToInt(Span::count)
                .max()
                .orElse(0);
    }

    /** Slots of the longest list of all pages that a token has which is attended by itself. */
    int mostSlotsOfEntries() {
        return spans.stream()
                .filter(span -> !isChunk(span))
                .mapToInt(span -> VisibleSlots.of(span, span.count() - 1, Integer.MAX_VALUE)
                        .last())
                .max()
                .orElse(0);
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
        return IntStream.range(0, rows)
                .mapToObj(row ->
                        row < spans.size() ? LogitRow.of(row, spans.get(row)) : new LogitRow(row, TokenDraw.GREEDY))
                .toList();
    }

    /** Whether logits themselves are wanted, rather than tokens alone. */
    boolean wantsLogits() {
        return spans.stream().anyMatch(span -> span.logits() == Logits.LAST || span.logits() == Logits.ALL);
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
