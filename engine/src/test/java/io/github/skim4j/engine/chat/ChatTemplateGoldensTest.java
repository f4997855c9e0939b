package io.github.skim4j.engine.chat;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.skim4j.engine.model.ModelFile.SpecialTokens;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/**
 * Templates with the constructs of well-known models' ones, and single constructs, against what Jinja 2 makes of them with the
 * settings of Hugging Face transformers.
 */
class ChatTemplateGoldensTest {

    private static final ObjectMapper JSON = new ObjectMapper();

    @TestFactory
    Stream<DynamicTest> agreesWithJinja2() throws IOException {
        JsonNode goldens;
        try (InputStream in = getClass().getResourceAsStream("/chat/templates.json")) {
            goldens = JSON.readTree(in);
        }
        List<DynamicTest> tests = new ArrayList<>();
        for (JsonNode golden : goldens.path("cases")) {
            String name = golden.path("template").asText();
            String source = goldens.path("templates").path(name).asText();
            List<Map<String, Object>> tools =
                    golden.path("tools").asBoolean() ? maps(goldens.path("tools")) : List.of();
            tests.add(DynamicTest.dynamicTest(
                    name + ", " + golden.path("chat").asText(), () -> check(golden, source, name, tools)));
        }
        return tests.stream();
    }

    private static void check(JsonNode golden, String source, String name, List<Map<String, Object>> tools) {
        ChatTemplate template = ChatTemplate.of(source, name, new SpecialTokens("<s>", "</s>", null, null, true));
        List<ChatMessage> messages = maps(golden.path("messages")).stream()
                .map(ChatTemplateGoldensTest::message)
                .toList();
        Map<String, Object> arguments = golden.has("arguments") ? map(golden.path("arguments")) : Map.of();
        boolean generationPrompt = golden.path("generationPrompt").asBoolean();
        if (golden.has("refusal")) {
            assertThatThrownBy(() -> template.render(messages, tools, arguments, generationPrompt))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContainingAll(name, golden.path("refusal").asText());
        } else {
            assertThat(template.render(messages, tools, arguments, generationPrompt))
                    .isEqualTo(golden.path("expected").asText());
        }
    }

    private static ChatMessage message(Map<String, Object> fields) {
        Map<String, Object> extras = new LinkedHashMap<>(fields);
        String role = (String) extras.remove("role");
        String content = (String) extras.remove("content");
        return new ChatMessage(role, content, extras);
    }

    private static List<Map<String, Object>> maps(JsonNode array) {
        List<Map<String, Object>> maps = new ArrayList<>();
        array.forEach(node -> maps.add(map(node)));
        return maps;
    }

    private static Map<String, Object> map(JsonNode node) {
        return JSON.convertValue(
                node, JSON.getTypeFactory().constructMapType(LinkedHashMap.class, String.class, Object.class));
    }
}
