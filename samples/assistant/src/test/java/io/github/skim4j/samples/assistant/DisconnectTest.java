package io.github.skim4j.samples.assistant;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.github.skim4j.engine.Engine;
import io.github.skim4j.engine.EngineStats;
import java.io.BufferedReader;
import java.io.IOException;
import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.springframework.beans.factory.annotation.Autowired;
import org.springframework.boot.test.context.SpringBootTest;
import org.springframework.boot.test.web.server.LocalServerPort;

/** Such a high temperature draws almost any token, and with this seed the end not among the first thousands. */
@SpringBootTest(
        webEnvironment = SpringBootTest.WebEnvironment.RANDOM_PORT,
        properties = {
            "langchain4j.skim.chat-model.temperature=100",
            "langchain4j.skim.chat-model.seed=5",
            "langchain4j.skim.chat-model.max-output-tokens=20000",
            "assistant.top-k=2"
        })
class DisconnectTest {

    @Autowired
    private Engine engine;

    @LocalServerPort
    private int port;

    @Test
    void aClientThatGoesAwayStopsTheDecode() throws IOException {
        try (BufferedReader reader = SseClient.reader(new SseClient(port).ask("Who leads Project Heron?"))) {
            for (int i = 0; i < 4; i++) {
                assertThat(SseClient.next(reader)).isNotNull();
            }
        }

        await().atMost(Duration.ofSeconds(20)).untilAsserted(() -> {
            EngineStats stats = engine.stats();
            assertThat(stats.cancelled()).isEqualTo(1);
            assertThat(stats.running()).isZero();
            assertThat(stats.pagesFree()).isEqualTo(stats.pagesTotal());
        });
        assertThat(engine.stats().generatedTokens()).isLessThan(10_000);
    }
}
