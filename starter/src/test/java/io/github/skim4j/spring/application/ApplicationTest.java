package io.github.skim4j.spring.application;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.langchain4j.data.message.UserMessage;
import dev.langchain4j.model.TokenCountEstimator;
import dev.langchain4j.model.chat.ChatModel;
import dev.langchain4j.model.chat.response.ChatResponse;
import io.github.skim4j.engine.Engine;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.springframework.beans.factory.annotation.Autowired;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.test.context.SpringBootTest;
import org.springframework.boot.test.context.SpringBootTest.WebEnvironment;

/** The starter in a web application with a tiny model of random weights, which answers gibberish. */
@SpringBootTest(
        webEnvironment = WebEnvironment.RANDOM_PORT,
        properties = {
            "langchain4j.skim.model=" + ApplicationTest.MODEL,
            "langchain4j.skim.attention.method=streaming-llm",
            "langchain4j.skim.attention.budget=32",
            "langchain4j.skim.hub.token=hf_secret",
            "langchain4j.skim.chat-model.max-output-tokens=8",
            "management.endpoints.web.exposure.include=*",
            "management.endpoint.health.show-details=always"
        })
class ApplicationTest {

    static final String MODEL = "../engine/src/test/resources/goldens/models/llama-tied";

    @Autowired
    private Application.Assistant assistant;

    @Autowired
    private ChatModel model;

    @Autowired
    private Engine engine;

    @Autowired
    private TokenCountEstimator estimator;

    @Value("${local.server.port}")
    private int port;

    @Test
    void aiServiceAnswersWithTheModel() {
        assertThat(assistant.answer("Who?")).isEqualTo(model.chat("Who?")).isNotEmpty();
    }

    @Test
    void aiServiceStreamsTheSameAnswer() throws Exception {
        StringBuffer pieces = new StringBuffer();
        CompletableFuture<ChatResponse> response = new CompletableFuture<>();
        assistant.stream("Who?")
                .onPartialResponse(pieces::append)
                .onCompleteResponse(response::complete)
                .onError(response::completeExceptionally)
                .start();

        ChatResponse complete = response.get(30, TimeUnit.SECONDS);
        assertThat(pieces).hasToString(model.chat("Who?"));
        assertThat(complete.aiMessage().text()).hasToString(pieces.toString());
        assertThat(complete.tokenUsage().outputTokenCount()).isBetween(1, 8);
    }

    @Test
    void estimatorCountsAsTheModelDoes() {
        assertThat(estimator.estimateTokenCountInText("Who?"))
                .isEqualTo(engine.tokenizer().encode("Who?").length);
        assertThat(estimator.estimateTokenCountInMessage(UserMessage.from("Who?")))
                .isGreaterThan(estimator.estimateTokenCountInText("Who?"));
    }

    @Test
    void health() throws Exception {
        JsonNode skim = get("health").path("components").path("skim");

        assertThat(skim.path("status").asText()).isEqualTo("UP");
        assertThat(skim.path("details").path("model").asText()).isEqualTo("llama-tied");
        assertThat(skim.path("details").path("device").asText()).startsWith("CPU");
        assertThat(skim.path("details").path("pagesFree").asInt())
                .isPositive()
                .isLessThanOrEqualTo(skim.path("details").path("pagesTotal").asInt());
    }

    @Test
    void info() throws Exception {
        assertThat(get("info").path("skim").path("contextLength").asInt()).isEqualTo(128);
    }

    @Test
    void endpoint() throws Exception {
        model.chat("Who?");

        JsonNode state = get("skim");

        assertThat(state.path("model").asText()).isEqualTo("llama-tied");
        assertThat(state.path("attention").path("method").asText()).isEqualTo("streaming-llm:budget=32,sinks=4");
        assertThat(state.path("requests").path("completed").asInt()).isPositive();
        assertThat(state.path("pages").path("size").asInt()).isEqualTo(32);
    }

    @Test
    void configurationPropertiesWithoutSecrets() throws Exception {
        JsonNode report = get("configprops");

        assertThat(report.findValue("langchain4j.skim-io.github.skim4j.spring.SkimProperties")
                        .path("properties")
                        .has("model"))
                .isTrue();
        assertThat(report.toString()).doesNotContain("hf_secret");
    }

    @Test
    void metersOfRequestsAndTokenCache() throws Exception {
        model.chat("the same question");
        double hits = metric("cache.gets?tag=cache:skim.tokens&tag=result:hit");
        double requests = metric("gen_ai.server.request.duration?tag=gen_ai.request.model:llama-tied");
        double tokens = metric("gen_ai.client.token.usage?tag=gen_ai.token.type:input");

        model.chat("the same question");

        assertThat(metric("cache.gets?tag=cache:skim.tokens&tag=result:hit")).isGreaterThan(hits);
        assertThat(metric("gen_ai.server.request.duration?tag=gen_ai.request.model:llama-tied"))
                .isEqualTo(requests + 1);
        assertThat(metric("gen_ai.client.token.usage?tag=gen_ai.token.type:input"))
                .isEqualTo(tokens + 1);
        assertThat(metric("skim.kv.pages.free")).isEqualTo(metric("skim.kv.pages.total"));
        assertThat(metric("skim.queue.depth")).isZero();
    }

    /** The first measurement: of a timer and a summary their count. */
    private double metric(String name) throws Exception {
        return get("metrics/" + name).path("measurements").path(0).path("value").asDouble(-1);
    }

    private JsonNode get(String path) throws IOException, InterruptedException {
        HttpRequest request = HttpRequest.newBuilder(URI.create("http://localhost:" + port + "/actuator/" + path))
                .build();
        HttpResponse<String> response = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
        assertThat(response.statusCode()).as(path + ": " + response.body()).isEqualTo(200);
        return new ObjectMapper().readTree(response.body());
    }
}
