package io.github.skim4j.samples.assistant;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.InputStream;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.springframework.boot.test.context.SpringBootTest;
import org.springframework.boot.test.web.server.LocalServerPort;

@SpringBootTest(webEnvironment = SpringBootTest.WebEnvironment.RANDOM_PORT)
class AnswerEndpointTest {

    @LocalServerPort
    private int port;

    private SseClient client;

    @BeforeEach
    void connect() {
        client = new SseClient(port);
    }

    @Test
    void streamsSourcesThenPiecesThenFigures() {
        List<SseClient.Event> events = client.answer("Who leads Project Heron?");

        List<String> names = events.stream().map(SseClient.Event::name).toList();
        assertThat(names.get(0)).isEqualTo("sources");
        assertThat(names.get(names.size() - 1)).isEqualTo("done");
        assertThat(names.subList(1, names.size() - 1)).hasSizeGreaterThan(3).containsOnly("token");
        assertThat(events.get(0).data().toString()).contains("project-fact-sheets.md");
        var figures = events.get(events.size() - 1).data();
        assertThat(figures.get("promptTokens").asInt()).isGreaterThan(1000);
        assertThat(figures.get("cachedTokens").asInt())
                .isBetween(0, figures.get("promptTokens").asInt() - 1);
        assertThat(figures.get("answerTokens").asInt()).isGreaterThan(3);
        assertThat(figures.get("timeToFirstTokenMillis").asLong()).isPositive();
        assertThat(figures.get("tokensPerSecond").asDouble()).isPositive();
        assertThat(figures.get("attendedDensity").asDouble()).isEqualTo(1);
        assertThat(figures.get("complete").asBoolean()).isTrue();
    }

    @Test
    void takesAQuestionLiterally() {
        List<SseClient.Event> events = client.answer("What is {{contents}} {{it}} <b>x</b>?");

        assertThat(events.get(events.size() - 1).name()).isEqualTo("done");
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "  \n"})
    void refusesAnEmptyQuestion(String question) throws IOException {
        assertThat(problem(client.ask(question))).isEqualTo("Please write a question.");
    }

    @Test
    void refusesALongQuestion() throws IOException {
        assertThat(problem(client.ask("x".repeat(1001))))
                .isEqualTo("The question has 1001 characters; at most 1000 are allowed.");
    }

    @Test
    void showsTheDocuments() {
        assertThat(client.get("/api/about").body()).contains("\"site-guide.md\"", "\"model\":", "\"device\":");
        HttpResponse<String> document = client.get("/api/documents/site-guide.md");
        assertThat(document.body()).startsWith("# Site guide");
        assertThat(document.headers().firstValue("Content-Type")).hasValue("text/plain;charset=UTF-8");
        assertThat(client.get("/api/documents/..%2Fpom.xml").statusCode()).isIn(400, 404);
        assertThat(client.get("/api/documents/pom.xml").statusCode()).isEqualTo(404);
    }

    @Test
    void isHealthy() {
        HttpResponse<String> health = client.get("/actuator/health");

        assertThat(health.statusCode()).isEqualTo(200);
        assertThat(SseClient.json(health.body()).at("/status").asString()).isEqualTo("UP");
    }

    private static String problem(HttpResponse<InputStream> response) throws IOException {
        String body = new String(response.body().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(response.statusCode()).as(body).isEqualTo(400);
        return SseClient.json(body).get("detail").asString();
    }
}
