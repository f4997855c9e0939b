package io.github.skim4j.engine.attention;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Function;

/** The textual form of attention methods. */
final class AttentionSpecs {

    private static final Map<String, Function<Settings, AttentionMethod>> METHODS = new LinkedHashMap<>();

    static {
        METHODS.put("dense", s -> new Dense());
        METHODS.put("streaming-llm", s -> new StreamingLlm(s.budget(), s.integer("sinks", StreamingLlm.DEFAULT_SINKS)));
    }

    private AttentionSpecs() {}

    static List<String> names() {
        return List.copyOf(METHODS.keySet());
    }

    static AttentionMethod parse(String spec) {
        int colon = spec.indexOf(':');
        String name = (colon < 0 ? spec : spec.substring(0, colon)).trim();
        Function<Settings, AttentionMethod> method = METHODS.get(name);
        if (method == null) {
            throw new UnknownAttentionMethodException(name);
        }
        Settings settings = new Settings(name, colon < 0 ? "" : spec.substring(colon + 1));
        AttentionMethod parsed = method.apply(settings);
        settings.requireAllRead();
        return parsed;
    }

    /** The {@code key=value} part; knows which keys were asked for, so that a misspelt one is an error. */
    private static final class Settings {

        private final String method;
        private final Map<String, String> values = new TreeMap<>();
        private final List<String> known = new ArrayList<>();

        Settings(String method, String text) {
            this.method = method;
            for (String pair : text.isBlank() ? new String[0] : text.split(",")) {
                int equals = pair.indexOf('=');
                if (equals < 1) {
                    throw new IllegalArgumentException(
                            "expected key=value in the settings of " + method + ", but got '" + pair + "'");
                }
                values.put(
                        pair.substring(0, equals).trim(),
                        pair.substring(equals + 1).trim());
            }
        }

        Budget budget() {
            known.add("budget");
            String value = values.remove("budget");
            if (value == null) {
                throw new IllegalArgumentException(
                        method + " needs a budget, such as " + method + ":budget=1024 or " + method + ":budget=12.5%");
            }
            return Budget.parse(value);
        }

        int integer(String key, int otherwise) {
            known.add(key);
            String value = values.remove(key);
            try {
                return value == null ? otherwise : Integer.parseInt(value);
            } catch (NumberFormatException e) {
                throw new IllegalArgumentException(
                        method + " " + key + " must be a whole number, but is '" + value + "'");
            }
        }

        void requireAllRead() {
            if (!values.isEmpty()) {
                throw new IllegalArgumentException(method + " has no setting '"
                        + values.keySet().iterator().next() + "'; it has: "
                        + (known.isEmpty() ? "none" : String.join(", ", known)));
            }
        }
    }
}
