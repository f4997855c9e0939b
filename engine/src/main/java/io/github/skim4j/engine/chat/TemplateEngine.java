package io.github.skim4j.engine.chat;

import com.hubspot.jinjava.Jinjava;
import com.hubspot.jinjava.JinjavaConfig;
import com.hubspot.jinjava.LegacyOverrides;
import com.hubspot.jinjava.el.JinjavaProcessors;
import com.hubspot.jinjava.el.TruthyTypeConverter;
import com.hubspot.jinjava.interpret.AutoCloseableSupplier.AutoCloseableImpl;
import com.hubspot.jinjava.interpret.Context;
import com.hubspot.jinjava.interpret.Context.Library;
import com.hubspot.jinjava.interpret.InterpretException;
import com.hubspot.jinjava.interpret.InterpreterFactory;
import com.hubspot.jinjava.interpret.JinjavaInterpreter;
import com.hubspot.jinjava.interpret.RenderResult;
import com.hubspot.jinjava.interpret.TemplateError;
import com.hubspot.jinjava.lib.Importable;
import com.hubspot.jinjava.lib.fn.ELFunctionDefinition;
import com.hubspot.jinjava.lib.tag.IfTag;
import com.hubspot.jinjava.tree.TagNode;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import jinjava.de.odysseus.el.ExpressionFactoryImpl;
import jinjava.de.odysseus.el.tree.TreeStore;
import jinjava.de.odysseus.el.tree.impl.Builder.Feature;
import jinjava.de.odysseus.el.tree.impl.Cache;
import jinjava.javax.el.ExpressionFactory;

/**
 * Jinjava with Python's meaning where its own differs, without access to Java objects, files or other templates, and with limits.
 */
final class TemplateEngine {

    /** Characters of a prompt or of any text on the way to it. */
    static final int MAX_TEXT = 1 << 24;

    static final int MAX_ITEMS = 1 << 20;
    private static final int MAX_RANGE = 100_000;
    private static final int MAX_MACRO_DEPTH = 50;
    private static final long MAX_NANOS = 20_000_000_000L;

    private static final Set<String> TAGS =
            Set.of("if", "elif", "else", "for", "set", "macro", "call", "raw", "do", "break", "continue");
    private static final Set<String> FILTERS = Set.of(
            "abs",
            "attr",
            "capitalize",
            "count",
            "d",
            "default",
            "dictsort",
            "first",
            "float",
            "indent",
            "int",
            "items",
            "join",
            "last",
            "length",
            "list",
            "lower",
            "map",
            "reject",
            "rejectattr",
            "replace",
            "reverse",
            "round",
            "safe",
            "select",
            "selectattr",
            "sort",
            "string",
            "sum",
            "title",
            "tojson",
            "trim",
            "unique",
            "upper");
    private static final Set<String> FUNCTIONS =
            Set.of("range", "namespace", "raise_exception", "strftime_now", "dict");

    private final Jinjava jinjava;

    /** A template's own call to raise_exception. */
    static final class Refusal extends InterpretException {
        Refusal(String message) {
            super(message);
        }
    }

    TemplateEngine() {
        jinjava = new PythonJinjava(config(disabled(new Context())));
        jinjava.setResourceLocator((name, encoding, interpreter) -> {
            throw new InterpretException("templates can't read files");
        });
        jinjava.registerTag(new PythonIf());
        jinjava.registerTag(new LoopTag());
        PythonFilters.ALL.forEach(jinjava::registerFilter);
        PythonTests.ALL.forEach(jinjava::registerExpTest);
        jinjava.registerFunction(function("raise_exception", Object.class));
        jinjava.registerFunction(function("strftime_now", String.class));
        jinjava.registerFunction(function("range", Object[].class));
        jinjava.registerFunction(function("dict", Object[].class));
    }

    private static JinjavaConfig config(Map<Library, Set<String>> disabled) {
        return JinjavaConfig.newBuilder()
                .withDisabled(disabled)
                .withElResolver(new DataResolver())
                .withNestedInterpretationEnabled(false)
                .withEnableRecursiveMacroCalls(true)
                .withMaxMacroRecursionDepth(MAX_MACRO_DEPTH)
                .withMaxOutputSize(MAX_TEXT)
                .withMaxStringLength(MAX_TEXT)
                .withMaxListSize(MAX_ITEMS)
                .withMaxMapSize(MAX_ITEMS)
                .withInterperterFactory(new PythonInterpreters())
                .withProcessors(JinjavaProcessors.newBuilder()
                        .withNodePreProcessor((node, interpreter) -> ((PythonInterpreter) interpreter).requireTime())
                        .build())
                .withLegacyOverrides(LegacyOverrides.newBuilder()
                        .withEvaluateMapKeys(true)
                        .withIterateOverMapKeys(true)
                        .withUseNaturalOperatorPrecedence(true)
                        .withAllowAdjacentTextNodes(true)
                        .withKeepNullableLoopValues(true)
                        .build())
                .build();
    }

    private static Map<Library, Set<String>> disabled(Context all) {
        return Map.of(
                Library.TAG,
                except(
                        all.getAllTags(),
                        name -> TAGS.contains(name) || name.startsWith("end") && TAGS.contains(name.substring(3))),
                Library.FILTER,
                except(all.getAllFilters(), FILTERS::contains),
                Library.FUNCTION,
                except(all.getAllFunctions(), name -> FUNCTIONS.contains(name.substring(name.indexOf(':') + 1))));
    }

    private static Set<String> except(Collection<? extends Importable> library, Predicate<String> allowed) {
        return library.stream()
                .map(Importable::getName)
                .filter(name -> !allowed.test(name))
                .collect(Collectors.toUnmodifiableSet());
    }

    private static ELFunctionDefinition function(String name, Class<?> parameter) {
        return new ELFunctionDefinition("", name, Functions.class, name, parameter);
    }

    /** Errors in the structure of {@code source}. */
    List<TemplateError> parse(String source) {
        try (AutoCloseableImpl<JinjavaInterpreter> current = JinjavaInterpreter.closeablePushCurrent(
                        jinjava.newInterpreter())
                .get()) {
            current.value().parse(source);
            return current.value().getErrorsCopy();
        }
    }

    RenderResult render(String source, Map<String, Object> variables) {
        return jinjava.renderForResult(source, variables);
    }

    /** Global functions of templates; called by name. */
    static final class Functions {

        private Functions() {}

        static Object raise_exception(Object message) {
            throw new Refusal(Python.str(message));
        }

        static String strftime_now(String format) {
            return Strftime.format(LocalDateTime.now(), format);
        }

        static Object range(Object... bounds) {
            if (bounds.length < 1 || bounds.length > 3) {
                throw new InterpretException("range takes one to three numbers");
            }
            int start = bounds.length == 1 ? 0 : Python.integer(bounds[0]);
            int stop = Python.integer(bounds[bounds.length == 1 ? 0 : 1]);
            int step = bounds.length < 3 ? 1 : Python.integer(bounds[2]);
            List<Object> numbers = new ArrayList<>();
            for (long i = start; step > 0 ? i < stop : step < 0 && i > stop; i += step) {
                numbers.add(i);
                if (numbers.size() > MAX_RANGE) {
                    throw new InterpretException("range has more than " + MAX_RANGE + " numbers");
                }
            }
            return numbers;
        }

        static Object dict(Object... items) {
            return com.hubspot.jinjava.lib.fn.Functions.createNamespace(items).toMap();
        }
    }

    private static final class PythonJinjava extends Jinjava {

        private final ExpressionFactory expressions = new ExpressionFactoryImpl(
                new TreeStore(new PythonSyntax(Feature.METHOD_INVOCATIONS, Feature.VARARGS), new Cache(1000)),
                new PythonConverter());

        PythonJinjava(JinjavaConfig config) {
            super(config);
        }

        @Override
        public ExpressionFactory getExpressionFactory() {
            return expressions;
        }
    }

    private static final class PythonConverter extends TruthyTypeConverter {

        @Override
        protected Boolean coerceToBoolean(Object value) {
            return Python.isTrue(value);
        }

        @Override
        protected String coerceToString(Object value) {
            return Python.str(value);
        }
    }

    private static final class PythonIf extends IfTag {

        @Override
        public boolean isPositiveIfElseNode(TagNode node, JinjavaInterpreter interpreter) {
            return Python.isTrue(
                    interpreter.resolveELExpression(node.getHelpers(), node.getLineNumber(), node.getStartPosition()));
        }
    }

    private static final class PythonInterpreters implements InterpreterFactory {

        @Override
        public JinjavaInterpreter newInstance(JinjavaInterpreter original) {
            return new PythonInterpreter(original);
        }

        @Override
        public JinjavaInterpreter newInstance(Jinjava application, Context context, JinjavaConfig config) {
            return new PythonInterpreter(application, context, config);
        }
    }

    private static final class PythonInterpreter extends JinjavaInterpreter {

        private final long start = System.nanoTime();

        PythonInterpreter(JinjavaInterpreter original) {
            super(original);
        }

        PythonInterpreter(Jinjava application, Context context, JinjavaConfig config) {
            super(application, context, config);
        }

        void requireTime() {
            if (System.nanoTime() - start > MAX_NANOS) {
                throw new InterpretException("it runs for more than " + MAX_NANOS / 1_000_000_000 + " seconds");
            }
            if (Thread.currentThread().isInterrupted()) {
                throw new InterpretException("it was interrupted");
            }
        }

        @Override
        public String getAsString(Object object) {
            return Python.str(object);
        }
    }
}
