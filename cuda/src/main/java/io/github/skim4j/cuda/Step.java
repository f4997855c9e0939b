package io.github.skim4j.cuda;

import io.github.skim4j.engine.backend.Span;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/**
 * The spans of a step in the order of their rows: single tokens first, which the decode kernel attends, then chunks of prompts. A span
 * is sequence {@code s} of the step where it stands at {@code s}, so a single token's row has its sequence's number.
 *
 * @param spans in the order of their rows
 * @param origins where each stood in the caller's list
 * @param singles spans of one token
 * @param rows tokens of all spans
 */
record Step(List<Span> spans, List<Integer> origins, int singles, int rows) {

    static Step of(List<Span> spans) {
        List<Integer> origins = IntStream.range(0, spans.size())
                .boxed()
                .sorted(Comparator.comparing(i -> spans.get(i).count() > 1))
                .toList();
        List<Span> ordered = origins.stream().map(spans::get).toList();
        int singles = (int) ordered.stream().filter(span -> span.count() == 1).count();
        return new Step(
                ordered,
                origins,
                singles,
                ordered.stream().mapToInt(Span::count).sum());
    }

    int chunks() {
        return spans.size() - singles;
    }

    /** Tokens of the longest chunk. */
    int longestChunk() {
        return spans.subList(singles, spans.size()).stream()
                .mapToInt(Span::count)
                .max()
                .orElse(0);
    }

    /** How many of a span's rows, the last ones, need logits. */
    static int logitRows(Span span) {
        return switch (span.logits()) {
            case NONE -> 0;
            case BEST, LAST -> 1;
            case ALL -> span.count();
        };
    }

    /** Rows whose logits are wanted, span after span. */
    List<Integer> logitRows() {
        List<Integer> wanted = new ArrayList<>();
        int end = 0;
        for (Span span : spans) {
            end += span.count();
            for (int row = end - logitRows(span); row < end; row++) {
                wanted.add(row);
            }
        }
        return wanted;
    }
}
