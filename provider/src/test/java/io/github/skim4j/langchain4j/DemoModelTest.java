package io.github.skim4j.langchain4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.langchain4j.data.message.ChatMessage;
import dev.langchain4j.data.message.SystemMessage;
import dev.langchain4j.data.message.UserMessage;
import dev.langchain4j.model.chat.response.ChatResponse;
import io.github.skim4j.engine.EngineConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A trained model behind the provider: questions over documents of about a thousand tokens. */
class DemoModelTest {

    private static final int THREADS = 10;

    @ParameterizedTest
    @ValueSource(strings = {"dense", "sketch:budget=50%"})
    @Tag("slow")
    void tenThreadsOnOneModelEachGetTheRightAnswer(String method) throws Exception {
        Path folder = Path.of(System.getProperty("skim.shared", "../../shared"), "demo-model");
        assumeTrue(Files.exists(folder), () -> folder + " is absent; -Dskim.shared=FOLDER tells where to look");
        List<Case> cases = answeredByTheReference(folder.resolve("eval"));
        EngineConfig config =
                EngineConfig.builder(folder.toString()).contextLength(2048).build();
        ExecutorService threads = Executors.newFixedThreadPool(THREADS);
        try (SkimChatModel model = SkimChatModel.builder()
                .engineConfig(config)
                .maxOutputTokens(60)
                .attention(method)
                .build()) {
            List<Future<ChatResponse>> responses = threads.invokeAll(cases.stream()
                    .map(one -> (Callable<ChatResponse>) () -> model.chat(one.messages()))
                    .toList());

            for (int i = 0; i < THREADS; i++) {
                ChatResponse response = responses.get(i).get();
                assertThat(response.aiMessage().text())
                        .as(cases.get(i).id())
                        .containsIgnoringCase(cases.get(i).value());
                assertThat(response.tokenUsage().inputTokenCount()).isGreaterThan(500);
                assertThat(((SkimChatResponseMetadata) response.metadata()).attendedDensity())
                        .isBetween(0.1, method.equals("dense") ? 1 : 0.6);
            }
        } finally {
            threads.shutdownNow();
        }
    }

    private record Case(String id, List<ChatMessage> messages, String value) {}

    private static List<Case> answeredByTheReference(Path eval) throws IOException {
        List<JsonNode> cases = lines(eval.resolve("cases.jsonl"));
        List<JsonNode> reference = lines(eval.resolve("reference_outputs.jsonl"));
        List<Case> answered = new ArrayList<>();
        for (JsonNode one : cases) {
            boolean right = reference.stream()
                    .anyMatch(output -> output.get("id").equals(one.get("id"))
                            && output.get("contains_float32").asBoolean());
            if (right && one.get("type").asText().equals("single") && answered.size() < THREADS) {
                answered.add(new Case(
                        one.get("id").asText(),
                        StreamSupport.stream(one.get("messages").spliterator(), false)
                                .map(DemoModelTest::message)
                                .toList(),
                        one.get("value").asText()));
            }
        }
        assertThat(answered).hasSize(THREADS);
        return answered;
    }

    private static ChatMessage message(JsonNode message) {
        String content = message.get("content").asText();
        return message.get("role").asText().equals("system") ? SystemMessage.from(content) : UserMessage.from(content);
    }

    private static List<JsonNode> lines(Path file) throws IOException {
        ObjectMapper json = new ObjectMapper();
        List<JsonNode> nodes = new ArrayList<>();
        for (String line : Files.readAllLines(file)) {
            nodes.add(json.readTree(line));
        }
        return nodes;
    }
}
