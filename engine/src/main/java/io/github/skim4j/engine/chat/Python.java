package io.github.skim4j.engine.chat;

import com.hubspot.jinjava.interpret.InterpretException;
import com.hubspot.jinjava.objects.SafeString;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.IntStream;

/** What Python makes of values. */
final class Python {

    private Python() {}

    static boolean isText(Object value) {
        return value instanceof String || value instanceof SafeString;
    }

    static boolean isTrue(Object value) {
        if (value == null) {
            return false;
        }
        if (value instanceof Boolean truth) {
            return truth;
        }
        if (value instanceof Number number) {
            return number.doubleValue() != 0;
        }
        if (value instanceof Collection<?> items) {
            return !items.isEmpty();
        }
        if (value instanceof Map<?, ?> map) {
            return !map.isEmpty();
        }
        return !isText(value) || !value.toString().isEmpty();
    }

    static boolean equal(Object left, Object right) {
        if (left instanceof Number a && right instanceof Number b) {
            return isInteger(a) && isInteger(b) ? a.longValue() == b.longValue() : a.doubleValue() == b.doubleValue();
        }
        if (isText(left) && isText(right)) {
            return left.toString().equals(right.toString());
        }
        return Objects.equals(left, right);
    }

    static String typeName(Object value) {
        if (value == null) {
            return "nothing";
        }
        if (isText(value)) {
            return "a text";
        }
        if (value instanceof Number) {
            return "a number";
        }
        if (value instanceof Map) {
            return "a mapping";
        }
        return value instanceof Collection ? "a list" : "a value";
    }

    /** The text of an expression; nothing for what isn't there. */
    static String str(Object value) {
        return value == null ? "" : isText(value) ? value.toString() : repr(value);
    }

    private static String repr(Object value) {
        StringBuilder text = new StringBuilder();
        appendRepr(text, value);
        return text.toString();
    }

    private static void appendRepr(StringBuilder text, Object value) {
        if (value == null) {
            text.append("None");
        } else if (value instanceof Boolean truth) {
            text.append(truth ? "True" : "False");
        } else if (isText(value)) {
            appendQuoted(text, value.toString());
        } else if (value instanceof Map<?, ?> map) {
            String separator = "{";
            for (Map.Entry<?, ?> entry : map.entrySet()) {
                text.append(separator);
                appendRepr(text, entry.getKey());
                text.append(": ");
                appendRepr(text, entry.getValue());
                separator = ", ";
            }
            text.append(map.isEmpty() ? "{}" : "}");
        } else if (value instanceof Collection<?> items) {
            text.append('[');
            for (Iterator<?> i = items.iterator(); i.hasNext(); ) {
                appendRepr(text, i.next());
                text.append(i.hasNext() ? ", " : "");
            }
            text.append(']');
        } else {
            text.append(value);
        }
        requireLength(text.length());
    }

    private static void appendQuoted(StringBuilder text, String value) {
        char quote = value.indexOf('\'') >= 0 && value.indexOf('"') < 0 ? '"' : '\'';
        text.append(quote);
        for (int i = 0; i < value.length(); i++) {
            char c = value.charAt(i);
            switch (c) {
                case '\n' -> text.append("\\n");
                case '\r' -> text.append("\\r");
                case '\t' -> text.append("\\t");
                case '\\' -> text.append("\\\\");
                default -> text.append(c == quote ? "\\" : "").append(c);
            }
        }
        text.append(quote);
    }

    /** {@code first + second}, within the limit. */
    static String limited(String first, String second) {
        requireLength((long) first.length() + second.length());
        return first + second;
    }

    static void requireLength(long length) {
        if (length > TemplateEngine.MAX_TEXT) {
            throw new InterpretException("it makes a text of more than " + TemplateEngine.MAX_TEXT + " characters");
        }
    }

    static void requireItems(long count) {
        if (count > TemplateEngine.MAX_ITEMS) {
            throw new InterpretException("it makes a list of more than " + TemplateEngine.MAX_ITEMS + " items");
        }
    }

    /** {@code value[start:stop:step]} of a text or a list. */
    static Object slice(Object value, Object start, Object stop, Object step) {
        int by = step == null ? 1 : integer(step);
        if (by == 0) {
            throw new InterpretException("the step of a slice must not be 0");
        }
        if (value instanceof Collection<?> items) {
            List<Object> all = new ArrayList<>(items);
            List<Object> part = new ArrayList<>();
            indices(all.size(), start, stop, by).forEach(i -> part.add(all.get(i)));
            return part;
        }
        if (!isText(value)) {
            throw new InterpretException(typeName(value) + " can't be sliced");
        }
        int[] all = value.toString().codePoints().toArray();
        int[] part = indices(all.length, start, stop, by).map(i -> all[i]).toArray();
        return new String(part, 0, part.length);
    }

    private static IntStream indices(int size, Object start, Object stop, int step) {
        int from = bound(start, step > 0 ? 0 : size - 1, size, step);
        int to = bound(stop, step > 0 ? size : -1, size, step);
        long count = step > 0 ? ((long) to - from + step - 1) / step : ((long) from - to - step - 1) / -(long) step;
        return IntStream.range(0, (int) Math.max(0, count)).map(i -> from + i * step);
    }

    private static int bound(Object value, int absent, int size, int step) {
        if (value == null) {
            return absent;
        }
        int index = integer(value);
        index += index < 0 ? size : 0;
        int lowest = step > 0 ? 0 : -1;
        int highest = step > 0 ? size : size - 1;
        return Math.max(lowest, Math.min(index, highest));
    }

    static int integer(Object value) {
        if (value instanceof Number number) {
            return Math.toIntExact(number.longValue());
        }
        throw new InterpretException(typeName(value) + " stands where a number belongs");
    }

    static List<Object> characters(String text) {
        List<Object> characters = new ArrayList<>();
        text.codePoints().forEach(c -> characters.add(Character.toString(c)));
        return characters;
    }

    static boolean isInteger(Object value) {
        return value instanceof Integer || value instanceof Long || value instanceof Short;
    }
}
