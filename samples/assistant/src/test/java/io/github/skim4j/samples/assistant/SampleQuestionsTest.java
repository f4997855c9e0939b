package io.github.skim4j.samples.assistant;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.springframework.beans.factory.annotation.Autowired;
import org.springframework.boot.test.context.SpringBootTest;
import org.springframework.boot.test.web.server.LocalServerPort;

/** Every question that the page offers is answered right, with the real model, embeddings and documents. */
@SpringBootTest(webEnvironment = SpringBootTest.WebEnvironment.RANDOM_PORT)
class SampleQuestionsTest {

    /** Questions with the values that the documents give. */
    private static final Map<String, List<String>> ANSWERS = Map.of(
            "Who leads Project Heron?", List.of("Orla Kerr"),
            "What are the budget and the deadline of Project Tundra?", List.of("$652,400", "5 March 2026"),
            "What is the phone extension of Greta Oduro?", List.of("5057"),
            "What caused incident INC-6155?", List.of("a clock drift"),
            "What is the notice period of contract CT-5146?", List.of("114 days"),
            "What is the value of mail_primary_queue_size?", List.of("3433"),
            "What is the gate code of Kirkgate Plant? Answer in JSON like {\"answer\": ...}.",
                    List.of("{\"answer\": \"T42-397\"}"),
            "What is the warranty period of Project Heron?", List.of("The documents do not say."));

    @Autowired
    private AssistantProperties properties;

    @LocalServerPort
    private int port;

    static List<String> questions() {
        return ANSWERS.keySet().stream().sorted().toList();
    }

    @ParameterizedTest
    @MethodSource("questions")
    void answersRight(String question) {
        List<SseClient.Event> events = new SseClient(port).answer(question);

        assertThat(SseClient.text(events)).contains(ANSWERS.get(question));
    }

    @Test
    void knowsTheAnswerToEverySampleQuestion() {
        assertThat(properties.sampleQuestions()).containsExactlyInAnyOrderElementsOf(ANSWERS.keySet());
    }
}
