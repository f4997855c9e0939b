package io.github.skim4j.cli.eval.cases;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.skim4j.engine.SkimException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Writes cases as {@link CaseReader} reads them. */
public final class CaseWriter {

    private static final ObjectMapper JSON = new ObjectMapper();

    private CaseWriter() {}

    public static void write(List<EvalCase> cases, Path file) {
        try {
            StringBuilder lines = new StringBuilder();
            for (EvalCase each : cases) {
                lines.append(JSON.writeValueAsString(fields(each))).append('\n');
            }
            Files.writeString(file, lines);
        } catch (IOException e) {
            throw new SkimException(file + " can't be written: " + e.getMessage(), e);
        }
    }

    private static Map<String, Object> fields(EvalCase each) {
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("id", each.id());
        fields.put("type", each.type());
        fields.put("context_tokens", each.contextTokens());
        fields.put(
                "messages",
                each.messages().stream()
                        .map(message -> Map.of("role", message.role(), "content", message.content()))
                        .toList());
        fields.put("answer", each.answer());
        fields.put("values", each.values());
        fields.put("question_tokens", each.questionTokens());
        fields.put("max_tokens", each.maxTokens());
        return fields;
    }
}
