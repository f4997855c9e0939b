package io.github.skim4j.engine.chat;

import java.util.HashMap;
import java.util.Map;
import java.util.Objects;

/**
 * A message as chat templates see it.
 *
 * @param role {@code system}, {@code user}, {@code assistant} or {@code tool}
 * @param content text; may be {@code null} for an assistant message that only calls tools
 * @param extras further fields for the template, such as {@code tool_calls}
 */
public record ChatMessage(String role, String content, Map<String, Object> extras) {

    public ChatMessage {
        Objects.requireNonNull(role, "role");
        extras = Map.copyOf(extras);
    }

    public static ChatMessage system(String content) {
        return new ChatMessage("system", content, Map.of());
    }

    public static ChatMessage user(String content) {
        return new ChatMessage("user", content, Map.of());
    }

    public static ChatMessage assistant(String content) {
        return new ChatMessage("assistant", content, Map.of());
    }

    /** The fields as a template reads them: {@code role}, {@code content} and the extras. */
    public Map<String, Object> toMap() {
        Map<String, Object> fields = new HashMap<>(extras);
        fields.put("role", role);
        fields.put("content", content);
        return fields;
    }
}
