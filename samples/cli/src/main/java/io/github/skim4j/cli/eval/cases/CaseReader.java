package io.github.skim4j.cli.eval.cases;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.skim4j.engine.SkimException;
import io.github.skim4j.engine.chat.ChatMessage;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Reads cases, one JSON object a line: {@code id, type, context_tokens, messages, answer, value} or {@code values, question_tokens,
 * max_tokens}.
 */
public final class CaseReader {

    private static final ObjectMapper JSON = new ObjectMapper();
    private static final Set<String> ROLES = Set.of("system", "user", "assistant");

    private final Path file;
    private int line;

    private CaseReader(Path file) {
        this.file = file;
    }

    /**
     * The first {@code limit} cases.
     *
     * @throws SkimException naming file, line and field of what is wrong
     */
    public static List<EvalCase> read(Path file, int limit) {
        return new CaseReader(file).read(limit);
    }

    private List<EvalCase> read(int limit) {
        List<EvalCase> cases = new ArrayList<>();
        try (BufferedReader lines = Files.newBufferedReader(file)) {
            for (String text = lines.readLine(); text != null && cases.size() < limit; text = lines.readLine()) {
                line++;
                if (!text.isBlank()) {
                    cases.add(parse(JSON.readTree(text)));
                }
            }
        } catch (JsonProcessingException e) {
            throw wrong("is not JSON: " + e.getOriginalMessage());
        } catch (NoSuchFileException e) {
            throw new SkimException(file + " does not exist", e);
        } catch (IOException e) {
            throw new SkimException(file + " can't be read: " + e.getMessage(), e);
        }
        if (cases.isEmpty()) {
            throw new SkimException(file + " has no cases");
        }
        return cases;
    }

    private EvalCase parse(JsonNode node) {
        JsonNode messages = node.path("messages");
        if (!messages.isArray() || messages.isEmpty()) {
            throw wrong("needs 'messages', an array that is not empty");
        }
        List<ChatMessage> chat = new ArrayList<>();
        for (JsonNode message : messages) {
            String role = text(message, "role");
            if (!ROLES.contains(role)) {
                throw wrong("has a message of role '" + role + "', which is none of system, user, assistant");
            }
            chat.add(new ChatMessage(role, text(message, "content"), Map.of()));
        }
        String answer = text(node, "answer");
        return new EvalCase(
                text(node, "id"),
                text(node, "type"),
                number(node, "context_tokens"),
                chat,
                answer,
                values(node, answer),
                optional(node, "question_tokens", EvalCase.DEFAULT_QUESTION_TOKENS),
                optional(node, "max_tokens", EvalCase.DEFAULT_MAX_TOKENS));
    }

    private List<String> values(JsonNode node, String answer) {
        if (!node.hasNonNull("values")) {
            return List.of(node.hasNonNull("value") ? text(node, "value") : answer);
        }
        List<String> values = new ArrayList<>();
        for (JsonNode value : node.path("values")) {
            if (!value.isTextual() || value.textValue().isEmpty()) {
                throw wrong("has 'values' with one that is not a string or is empty");
            }
            values.add(value.textValue());
        }
        if (values.isEmpty()) {
            throw wrong("has 'values' that are not an array of strings, or empty");
        }
        return values;
    }

    private int optional(JsonNode node, String field, int otherwise) {
        return node.hasNonNull(field) ? number(node, field) : otherwise;
    }

    private String text(JsonNode node, String field) {
        JsonNode value = node.path(field);
        if (!value.isTextual() || value.textValue().isEmpty()) {
            throw wrong("needs '" + field + "', a string that is not empty");
        }
        return value.textValue();
    }

    private int number(JsonNode node, String field) {
        JsonNode value = node.path(field);
        if (!value.canConvertToInt() || value.intValue() < 1) {
            throw wrong("needs '" + field + "', a whole number above 0");
        }
        return value.intValue();
    }

    private SkimException wrong(String what) {
        return new SkimException(file + " line " + line + " " + what);
    }
}
