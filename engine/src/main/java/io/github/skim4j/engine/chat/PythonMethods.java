package io.github.skim4j.engine.chat;

import com.hubspot.jinjava.interpret.InterpretException;
import com.hubspot.jinjava.util.ForLoop;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.IntPredicate;
import java.util.function.Predicate;

/** Methods of Python's str, dict and list that templates call. */
final class PythonMethods {

    private static final Object UNKNOWN = new Object();

    private PythonMethods() {}

    static Object call(Object base, String method, Object... arguments) {
        Object result = UNKNOWN;
        if (Python.isText(base)) {
            result = ofText(base.toString(), method, arguments);
        } else if (base instanceof Map<?, ?> map) {
            result = ofMap(map, method, arguments);
        } else if (base instanceof Collection<?> items) {
            result = ofList(items, method, arguments);
        } else if (base instanceof ForLoop loop && method.equals("cycle") && arguments.length > 0) {
            result = loop.cycle(arguments);
        }
        if (result == UNKNOWN) {
            throw new InterpretException(Python.typeName(base) + " has no method '" + method + "' that takes "
                    + arguments.length + " arguments");
        }
        return result;
    }

    private static Object ofText(String text, String method, Object[] arguments) {
        return switch (arguments.length) {
            case 0 ->
                switch (method) {
                    case "strip" -> strip(text, null, true, true);
                    case "lstrip" -> strip(text, null, true, false);
                    case "rstrip" -> strip(text, null, false, true);
                    case "upper" -> text.toUpperCase(Locale.ROOT);
                    case "lower" -> text.toLowerCase(Locale.ROOT);
                    case "title" -> title(text);
                    case "capitalize" -> capitalize(text);
                    case "split" -> words(text);
                    case "splitlines" -> new ArrayList<Object>(text.lines().toList());
                    case "isdigit" -> all(text, Character::isDigit);
                    case "isalpha" -> all(text, Character::isLetter);
                    case "isalnum" -> all(text, Character::isLetterOrDigit);
                    case "isspace" -> all(text, Character::isWhitespace);
                    case "isupper" ->
                        !text.equals(text.toLowerCase(Locale.ROOT)) && text.equals(text.toUpperCase(Locale.ROOT));
                    case "islower" ->
                        !text.equals(text.toUpperCase(Locale.ROOT)) && text.equals(text.toLowerCase(Locale.ROOT));
                    default -> UNKNOWN;
                };
            case 1 ->
                switch (method) {
                    case "strip" -> strip(text, arguments[0], true, true);
                    case "lstrip" -> strip(text, arguments[0], true, false);
                    case "rstrip" -> strip(text, arguments[0], false, true);
                    case "startswith" -> anyOf(arguments[0], text::startsWith);
                    case "endswith" -> anyOf(arguments[0], text::endsWith);
                    case "removeprefix" ->
                        text.startsWith(string(arguments[0]))
                                ? text.substring(string(arguments[0]).length())
                                : text;
                    case "removesuffix" ->
                        text.endsWith(string(arguments[0]))
                                ? text.substring(
                                        0, text.length() - string(arguments[0]).length())
                                : text;
                    case "split" -> split(text, arguments[0], Integer.MAX_VALUE);
                    case "rsplit" -> split(text, arguments[0], Integer.MAX_VALUE);
                    case "join" -> join(text, arguments[0]);
                    case "find" -> codePoints(text, text.indexOf(string(arguments[0])));
                    case "rfind" -> codePoints(text, text.lastIndexOf(string(arguments[0])));
                    case "count" -> split(text, arguments[0], Integer.MAX_VALUE).size() - 1;
                    default -> UNKNOWN;
                };
            case 2 ->
                switch (method) {
                    case "split" -> split(text, arguments[0], Python.integer(arguments[1]));
                    case "rsplit" -> rsplit(text, string(arguments[0]), Python.integer(arguments[1]));
                    case "replace" -> replace(text, string(arguments[0]), string(arguments[1]), Integer.MAX_VALUE);
                    default -> UNKNOWN;
                };
            case 3 ->
                method.equals("replace")
                        ? replace(text, string(arguments[0]), string(arguments[1]), Python.integer(arguments[2]))
                        : UNKNOWN;
            default -> UNKNOWN;
        };
    }

    private static Object ofMap(Map<?, ?> map, String method, Object[] arguments) {
        return switch (method + "/" + arguments.length) {
            case "items/0" -> items(map);
            case "keys/0" -> new ArrayList<Object>(map.keySet());
            case "values/0" -> new ArrayList<Object>(map.values());
            case "get/1" -> map.get(arguments[0]);
            case "get/2" -> map.containsKey(arguments[0]) ? map.get(arguments[0]) : arguments[1];
            default -> UNKNOWN;
        };
    }

    private static Object ofList(Collection<?> items, String method, Object[] arguments) {
        return switch (method + "/" + arguments.length) {
            case "index/1" -> new ArrayList<Object>(items).indexOf(arguments[0]);
            case "count/1" ->
                items.stream().filter(item -> Python.equal(item, arguments[0])).count();
            default -> UNKNOWN;
        };
    }

    /** Pairs of key and value. */
    static List<Object> items(Map<?, ?> map) {
        List<Object> pairs = new ArrayList<>();
        map.forEach((key, value) -> pairs.add(new ArrayList<>(Arrays.asList(key, value))));
        return pairs;
    }

    private static String string(Object value) {
        if (!Python.isText(value)) {
            throw new InterpretException(Python.typeName(value) + " stands where a text belongs");
        }
        return value.toString();
    }

    private static boolean anyOf(Object affixes, Predicate<String> test) {
        return affixes instanceof Collection<?> several
                ? several.stream().anyMatch(affix -> test.test(string(affix)))
                : test.test(string(affixes));
    }

    static String strip(String text, Object characters, boolean left, boolean right) {
        String set = characters == null ? null : string(characters);
        IntPredicate stripped = set == null ? PythonMethods::isSpace : c -> set.indexOf(c) >= 0;
        int start = 0;
        int end = text.length();
        while (left && start < end && stripped.test(text.codePointAt(start))) {
            start += Character.charCount(text.codePointAt(start));
        }
        while (right && end > start && stripped.test(text.codePointBefore(end))) {
            end -= Character.charCount(text.codePointBefore(end));
        }
        return text.substring(start, end);
    }

    private static boolean isSpace(int c) {
        return Character.isWhitespace(c) || Character.isSpaceChar(c) || c == 0x85;
    }

    private static List<Object> words(String text) {
        List<Object> words = new ArrayList<>();
        int start = 0;
        for (int i = 0; i <= text.length(); i++) {
            if (i == text.length() || isSpace(text.charAt(i))) {
                if (i > start) {
                    words.add(text.substring(start, i));
                }
                start = i + 1;
            }
        }
        return words;
    }

    private static List<Object> split(String text, Object separator, int most) {
        if (separator == null) {
            return words(text);
        }
        String by = nonEmpty(separator);
        List<Object> parts = new ArrayList<>();
        int start = 0;
        for (int at = text.indexOf(by); at >= 0 && parts.size() < (most < 0 ? Integer.MAX_VALUE : most); ) {
            parts.add(text.substring(start, at));
            start = at + by.length();
            at = text.indexOf(by, start);
        }
        parts.add(text.substring(start));
        return parts;
    }

    private static List<Object> rsplit(String text, String separator, int most) {
        String by = nonEmpty(separator);
        List<Object> parts = new ArrayList<>();
        int end = text.length();
        for (int at = text.lastIndexOf(by); at >= 0 && parts.size() < most; ) {
            parts.add(0, text.substring(at + by.length(), end));
            end = at;
            at = at == 0 ? -1 : text.lastIndexOf(by, end - by.length());
        }
        parts.add(0, text.substring(0, end));
        return parts;
    }

    private static String nonEmpty(Object separator) {
        if (string(separator).isEmpty()) {
            throw new InterpretException("a text can't be split at an empty one");
        }
        return separator.toString();
    }

    static String replace(String text, String old, String replacement, int most) {
        if (old.isEmpty()) {
            throw new InterpretException("an empty text can't be replaced");
        }
        StringBuilder result = new StringBuilder();
        int start = 0;
        int done = 0;
        for (int at = text.indexOf(old); at >= 0 && (most < 0 || done < most); done++) {
            result.append(text, start, at).append(replacement);
            Python.requireLength(result.length());
            start = at + old.length();
            at = text.indexOf(old, start);
        }
        return result.append(text, start, text.length()).toString();
    }

    private static String join(String separator, Object items) {
        if (!(items instanceof Collection<?> parts)) {
            throw new InterpretException(Python.typeName(items) + " can't be joined");
        }
        StringBuilder text = new StringBuilder();
        String between = "";
        for (Object part : parts) {
            text.append(between).append(string(part));
            between = separator;
            Python.requireLength(text.length());
        }
        return text.toString();
    }

    private static int codePoints(String text, int index) {
        return index < 0 ? -1 : text.codePointCount(0, index);
    }

    private static boolean all(String text, IntPredicate test) {
        return !text.isEmpty() && text.codePoints().allMatch(test);
    }

    private static String capitalize(String text) {
        if (text.isEmpty()) {
            return text;
        }
        int first = text.offsetByCodePoints(0, 1);
        return text.substring(0, first).toUpperCase(Locale.ROOT)
                + text.substring(first).toLowerCase(Locale.ROOT);
    }

    private static String title(String text) {
        StringBuilder result = new StringBuilder();
        boolean inWord = false;
        for (int c : text.codePoints().toArray()) {
            result.appendCodePoint(inWord ? Character.toLowerCase(c) : Character.toTitleCase(c));
            inWord = Character.isLetter(c);
        }
        return result.toString();
    }
}
