package io.github.skim4j.engine.chat;

import com.hubspot.jinjava.interpret.JinjavaInterpreter;
import com.hubspot.jinjava.lib.exptest.ExpTest;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;

/** Tests ({@code x is …}) that answer something else in jinjava. */
final class PythonTests {

    static final List<ExpTest> ALL = List.of(
            test("iterable", PythonTests::isIterable),
            test("sequence", PythonTests::isIterable),
            test("mapping", value -> value instanceof Map),
            test("string", Python::isText),
            test("boolean", value -> value instanceof Boolean),
            test("number", value -> value instanceof Number || value instanceof Boolean),
            test("integer", Python::isInteger),
            test("float", value -> value instanceof Number && !Python.isInteger(value)),
            test("true", value -> Boolean.TRUE.equals(value)),
            test("false", value -> Boolean.FALSE.equals(value)),
            test("none", value -> value == null));

    private PythonTests() {}

    private static boolean isIterable(Object value) {
        return value instanceof Collection || value instanceof Map || Python.isText(value);
    }

    private static ExpTest test(String name, Predicate<Object> predicate) {
        return new ExpTest() {
            @Override
            public String getName() {
                return name;
            }

            @Override
            public boolean evaluate(Object value, JinjavaInterpreter interpreter, Object... arguments) {
                return predicate.test(value);
            }
        };
    }
}
