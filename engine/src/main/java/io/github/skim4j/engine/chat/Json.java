package io.github.skim4j.engine.chat;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.util.DefaultIndenter;
import com.fasterxml.jackson.core.util.DefaultPrettyPrinter;
import com.fasterxml.jackson.core.util.Separators;
import com.fasterxml.jackson.core.util.Separators.Spacing;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.hubspot.jinjava.interpret.InterpretException;

/** JSON as Python's {@code json.dumps(value, ensure_ascii=False)} writes it. */
final class Json {

    private static final ObjectMapper MAPPER = new ObjectMapper();
    private static final Separators SEPARATORS = Separators.createDefaultInstance()
            .withObjectFieldValueSpacing(Spacing.AFTER)
            .withObjectEmptySeparator("")
            .withArrayEmptySeparator("");

    private Json() {}

    /** {@code value} on one line, or with {@code indent} spaces for each level if that isn't negative. */
    static String write(Object value, int indent) {
        DefaultPrettyPrinter printer;
        if (indent < 0) {
            printer = new DefaultPrettyPrinter(
                            SEPARATORS.withObjectEntrySpacing(Spacing.AFTER).withArrayValueSpacing(Spacing.AFTER))
                    .withObjectIndenter(null)
                    .withArrayIndenter(null);
        } else {
            DefaultIndenter indenter = new DefaultIndenter(" ".repeat(Math.min(indent, 16)), "\n");
            printer = new DefaultPrettyPrinter(SEPARATORS)
                    .withObjectIndenter(indenter)
                    .withArrayIndenter(indenter);
        }
        try {
            String json = MAPPER.writer(printer).writeValueAsString(value);
            Python.requireLength(json.length());
            return json;
        } catch (JsonProcessingException e) {
            throw new InterpretException("tojson: " + e.getOriginalMessage(), e);
        }
    }
}
