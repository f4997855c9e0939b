package io.github.skim4j.engine.chat;

import com.hubspot.jinjava.interpret.InterpretException;
import com.hubspot.jinjava.interpret.JinjavaInterpreter;
import com.hubspot.jinjava.lib.filter.AdvancedFilter;
import com.hubspot.jinjava.lib.filter.Filter;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** Filters that jinjava lacks or that do something else there. */
final class PythonFilters {

    static final List<Filter> ALL = List.of(
            filter("tojson", (value, arguments) -> {
                Object indent = arguments.get("indent", 0);
                return Json.write(value, indent == null ? -1 : Python.integer(indent));
            }),
            filter(
                    "trim",
                    (value, arguments) ->
                            PythonMethods.strip(Python.str(value), arguments.get("chars", 0), true, true)),
            filter("string", (value, arguments) -> Python.str(value)),
            filter("length", (value, arguments) -> length(value)),
            filter("count", (value, arguments) -> length(value)),
            filter("list", (value, arguments) -> list(value)),
            filter(
                    "items",
                    (value, arguments) ->
                            value instanceof Map<?, ?> map ? PythonMethods.items(map) : new ArrayList<>()),
            filter(
                    "replace",
                    (value, arguments) -> PythonMethods.replace(
                            Python.str(value),
                            Python.str(arguments.get("old", 0)),
                            Python.str(arguments.get("new", 1)),
                            arguments.get("count", 2) == null ? -1 : Python.integer(arguments.get("count", 2)))),
            filter(
                    "join",
                    (value, arguments) -> join(
                            list(value), Python.str(arguments.get("d", 0)), Python.str(arguments.get("attribute", 1)))),
            filter(
                    "indent",
                    (value, arguments) -> indent(
                            Python.str(value),
                            arguments.get("width", 0) == null ? 4 : Python.integer(arguments.get("width", 0)),
                            Python.isTrue(arguments.get("first", 1)),
                            Python.isTrue(arguments.get("blank", 2)))),
            filter("reverse", (value, arguments) -> Python.slice(value, null, null, -1)),
            filter("dictsort", (value, arguments) -> dictSort(value)));

    private PythonFilters() {}

    /** Arguments of a filter, by position or name. */
    private record Arguments(Object[] positional, Map<String, Object> named) {

        Object get(String name, int position) {
            return named.containsKey(name)
                    ? named.get(name)
                    : position < positional.length ? positional[position] : null;
        }
    }

    private interface Body {
        Object apply(Object value, Arguments arguments);
    }

    private static Filter filter(String name, Body body) {
        return new AdvancedFilter() {
            @Override
            public String getName() {
                return name;
            }

            @Override
            public Object filter(
                    Object value, JinjavaInterpreter interpreter, Object[] positional, Map<String, Object> named) {
                return body.apply(value, new Arguments(positional, named));
            }
        };
    }

    private static int length(Object value) {
        if (value instanceof Collection<?> items) {
            return items.size();
        }
        if (value instanceof Map<?, ?> map) {
            return map.size();
        }
        if (value == null || Python.isText(value)) {
            String text = Python.str(value);
            return text.codePointCount(0, text.length());
        }
        throw new InterpretException(Python.typeName(value) + " has no length");
    }

    private static List<Object> list(Object value) {
        if (value instanceof Collection<?> items) {
            return new ArrayList<>(items);
        }
        return value instanceof Map<?, ?> map ? new ArrayList<>(map.keySet()) : Python.characters(Python.str(value));
    }

    private static String indent(String text, int width, boolean first, boolean blank) {
        Python.requireLength((long) width * text.lines().count() + text.length());
        String margin = " ".repeat(Math.max(0, width));
        StringBuilder result = new StringBuilder();
        String[] lines = text.split("\n", -1);
        for (int i = 0; i < lines.length; i++) {
            boolean indented = i == 0 ? first : blank || !lines[i].isEmpty();
            result.append(i == 0 ? "" : "\n").append(indented ? margin : "").append(lines[i]);
        }
        return result.toString();
    }

    private static List<Object> dictSort(Object value) {
        if (!(value instanceof Map<?, ?> map)) {
            throw new InterpretException(Python.typeName(value) + " has no keys to sort");
        }
        Map<String, Object> sorted =
                new TreeMap<>(String.CASE_INSENSITIVE_ORDER.thenComparing(Comparator.naturalOrder()));
        map.forEach((key, item) -> sorted.put(Python.str(key), item));
        return PythonMethods.items(sorted);
    }

    private static String join(List<Object> items, String separator, String attribute) {
        StringBuilder text = new StringBuilder();
        String between = "";
        for (Object item : items) {
            Object part = attribute.isEmpty() || !(item instanceof Map<?, ?> map) ? item : map.get(attribute);
            text.append(between).append(Python.str(part));
            between = separator;
            Python.requireLength(text.length());
        }
        return text.toString();
    }
}
