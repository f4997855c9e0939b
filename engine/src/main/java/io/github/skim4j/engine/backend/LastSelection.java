package io.github.skim4j.engine.backend;

import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.model.ModelConfig;

/**
 * The decoded token of a sequence that ranked pages last, whose choice the next ones read again; see {@link
 * io.github.skim4j.engine.attention.Always#reuseInterval}.
 *
 * @param position of the token
 */
public record LastSelection(AttentionMethod method, int position) {

    /** Whether what the span's token selects serves others after it. */
    public static boolean isOf(Span span) {
        return span.count() == 1 && interval(span.attention()) > 1;
    }

    /**
     * The token whose pages the span's token reads: {@code before} where it serves it, else itself.
     *
     * @param before what this was for the sequence's last token; {@code null} if there is none
     */
    public static LastSelection of(Span span, LastSelection before, ModelConfig config) {
        return before != null && before.serves(span, config)
                ? before
                : new LastSelection(span.attention(), span.sequence().length());
    }

    /** Whether the span's token reads these pages again. It ranks anew where the sliding window has left a page. */
    public boolean serves(Span span, ModelConfig config) {
        int now = span.sequence().length();
        int window = config.slidingWindow();
        int pageSize = span.sequence().pageSize();
        return isOf(span)
                && method.equals(span.attention())
                && now > position
                && now - position < interval(method)
                && (window == 0 || firstPage(now, window, pageSize) == firstPage(position, window, pageSize));
    }

    private static int firstPage(int position, int window, int pageSize) {
        return Math.max(0, position + 1 - window) / pageSize;
    }

    private static int interval(AttentionMethod method) {
        return method.selector() == null ? 1 : method.selector().always().reuseInterval();
    }
}
