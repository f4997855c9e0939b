package io.github.skim4j.engine.decode;

import java.util.List;

/**
 * Finds stop sequences in a stream of text pieces, also across pieces: text that may be the beginning of a stop sequence is held
 * back until it is clear that it is none.
 */
final class StopMatcher {

    private final List<String> stops;
    private final int longest;
    private final StringBuilder held = new StringBuilder();
    private boolean stopped;

    StopMatcher(List<String> stops) {
        this.stops = stops;
        this.longest = stops.stream().mapToInt(String::length).max().orElse(1);
    }

    /** Takes a piece and returns the text that can go out; nothing after a stop sequence does. */
    String accept(String piece) {
        if (stopped) {
            return "";
        }
        held.append(piece);
        int first = -1;
        for (String stop : stops) {
            int at = held.indexOf(stop);
            if (at >= 0 && (first < 0 || at < first)) {
                first = at;
            }
        }
        if (first >= 0) {
            stopped = true;
            held.setLength(first);
            return flush();
        }
        int out = Math.max(0, held.length() - longest + 1);
        while (out < held.length() && !mayBegin(out)) {
            out++;
        }
        String text = held.substring(0, out);
        held.delete(0, out);
        return text;
    }

    private boolean mayBegin(int from) {
        int length = held.length() - from;
        for (String stop : stops) {
            if (stop.length() > length && held.indexOf(stop.substring(0, length), from) == from) {
                return true;
            }
        }
        return false;
    }

    boolean stopped() {
        return stopped;
    }

    /** The text still held back, at the end of the stream. */
    String flush() {
        String text = held.toString();
        held.setLength(0);
        return text;
    }
}
