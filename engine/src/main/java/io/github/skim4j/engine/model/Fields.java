package io.github.skim4j.engine.model;

import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * Checked access to the fields of a model file's metadata (GGUF) or JSON object; errors name file and field.
 *
 * @param file for messages
 * @param path prefix of the field names in messages, such as {@code rope_scaling.}; may be empty
 * @param values strings, numbers, booleans, lists, primitive arrays and maps by name
 */
record Fields(String file, String path, Map<String, Object> values) {

    /** A value, or {@code null} if it is absent or null. */
    Object raw(String key) {
        return values.get(key);
    }

    boolean has(String key) {
        return raw(key) != null;
    }

    ModelFormatException error(String key, String problem) {
        return new ModelFormatException(file + ": " + path + key + " " + problem);
    }

    private ModelFormatException mustBe(String key, String expected) {
        return error(key, has(key) ? "must be " + expected + ", but is " + shorten(raw(key)) : "is missing");
    }

    private static String shorten(Object value) {
        String text =
                value.getClass().isArray() || value instanceof List || value instanceof Map ? "not" : value.toString();
        return text.length() > 80 ? text.substring(0, 80) + "…" : text;
    }

    /** A whole number from {@code min} to {@code max}. */
    int integer(String key, int min, int max) {
        if (raw(key) instanceof Number number) {
            double value = number.doubleValue();
            if (value == Math.rint(value) && value >= min && value <= max) {
                return (int) value;
            }
        }
        throw mustBe(key, "a whole number from " + min + " to " + max);
    }

    int integer(String key, int min, int max, int fallback) {
        return has(key) ? integer(key, min, max) : fallback;
    }

    /** A finite number above 0. */
    double positive(String key) {
        double value = number(key);
        if (value > 0) {
            return value;
        }
        throw mustBe(key, "above 0");
    }

    double positive(String key, double fallback) {
        return has(key) ? positive(key) : fallback;
    }

    /** A finite number. */
    double number(String key) {
        if (raw(key) instanceof Number number && Double.isFinite(number.doubleValue())) {
            return number.doubleValue();
        }
        throw mustBe(key, "a number");
    }

    /** A finite number of at least {@code min}, or {@code null} if it is absent. */
    Double optionalNumber(String key, double min) {
        if (!has(key)) {
            return null;
        }
        double value = number(key);
        if (value < min) {
            throw mustBe(key, "at least " + min);
        }
        return value;
    }

    boolean flag(String key, boolean fallback) {
        if (!has(key)) {
            return fallback;
        }
        if (raw(key) instanceof Boolean value) {
            return value;
        }
        throw mustBe(key, "true or false");
    }

    /** A string, or {@code null} if it is absent. */
    String string(String key) {
        if (!has(key)) {
            return null;
        }
        if (raw(key) instanceof String value) {
            return value;
        }
        throw mustBe(key, "a string");
    }

    /** A list of strings, empty if it is absent. */
    List<String> strings(String key) {
        if (!has(key)) {
            return List.of();
        }
        if (raw(key) instanceof Utf8Strings strings) {
            return strings;
        }
        if (raw(key) instanceof List<?> list && list.stream().allMatch(String.class::isInstance)) {
            @SuppressWarnings("unchecked")
            List<String> strings = (List<String>) list;
            return Collections.unmodifiableList(strings);
        }
        throw mustBe(key, "a list of strings");
    }

    /** An array of floats, empty if it is absent. */
    float[] floats(String key) {
        if (!has(key)) {
            return new float[0];
        }
        if (raw(key) instanceof float[] array) {
            return array;
        }
        throw mustBe(key, "an array of floats");
    }

    /** An array of integers, empty if it is absent. */
    int[] integers(String key) {
        if (!has(key)) {
            return new int[0];
        }
        if (raw(key) instanceof int[] array) {
            return array;
        }
        throw mustBe(key, "an array of integers");
    }

    /** A token id, one or several, or none. */
    IntStream tokens(String key, int vocabSize) {
        Object value = raw(key);
        List<?> ids = value == null ? List.of() : value instanceof List<?> list ? list : List.of(value);
        return ids.stream().mapToInt(id -> {
            if (id instanceof Number number
                    && number.doubleValue() == number.intValue()
                    && number.intValue() >= 0
                    && number.intValue() < vocabSize) {
                return number.intValue();
            }
            throw mustBe(key, "token ids from 0 to " + (vocabSize - 1));
        });
    }

    /** An object's fields, or {@code null} if it is absent. */
    Fields object(String key) {
        return has(key) ? object(key, raw(key)) : null;
    }

    /** The fields of each object in a list, which is empty if it is absent. */
    List<Fields> objects(String key) {
        if (!has(key)) {
            return List.of();
        }
        if (raw(key) instanceof List<?> list) {
            return list.stream().map(value -> object(key, value)).toList();
        }
        throw mustBe(key, "a list of objects");
    }

    private Fields object(String key, Object value) {
        if (value instanceof Map<?, ?> map) {
            @SuppressWarnings("unchecked") // keys of parsed JSON objects are strings
            Map<String, Object> object = (Map<String, Object>) map;
            return new Fields(file, path + key + ".", object);
        }
        throw mustBe(key, "an object");
    }
}
