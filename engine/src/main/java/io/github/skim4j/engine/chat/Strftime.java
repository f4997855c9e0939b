package io.github.skim4j.engine.chat;

import com.hubspot.jinjava.interpret.InterpretException;
import java.time.LocalDateTime;
import java.time.format.DateTimeFormatter;
import java.util.Locale;
import java.util.Map;

/** Python's {@code strftime}, in English. */
final class Strftime {

    private static final Map<Character, String> PATTERNS = Map.ofEntries(
            Map.entry('a', "EEE"),
            Map.entry('A', "EEEE"),
            Map.entry('b', "MMM"),
            Map.entry('B', "MMMM"),
            Map.entry('d', "dd"),
            Map.entry('e', "ppd"),
            Map.entry('m', "MM"),
            Map.entry('y', "yy"),
            Map.entry('Y', "yyyy"),
            Map.entry('H', "HH"),
            Map.entry('I', "hh"),
            Map.entry('M', "mm"),
            Map.entry('S', "ss"),
            Map.entry('p', "a"),
            Map.entry('j', "DDD"),
            Map.entry('F', "yyyy-MM-dd"),
            Map.entry('T', "HH:mm:ss"));

    private Strftime() {}

    static String format(LocalDateTime time, String format) {
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < format.length(); i++) {
            char c = format.charAt(i);
            if (c != '%' || i + 1 == format.length()) {
                text.append(c);
                continue;
            }
            char directive = format.charAt(++i);
            boolean padded = directive != '-' || i + 1 == format.length();
            if (!padded) {
                directive = format.charAt(++i);
            }
            if (directive == '%') {
                text.append('%');
                continue;
            }
            String pattern = PATTERNS.get(directive);
            if (pattern == null) {
                throw new InterpretException("strftime_now doesn't know %" + directive);
            }
            String value = DateTimeFormatter.ofPattern(pattern, Locale.US).format(time);
            text.append(padded ? value : value.replaceFirst("^0", ""));
        }
        return text.toString();
    }
}
