package io.github.skim4j.spring;

import static org.assertj.core.api.Assertions.assertThat;

import dev.langchain4j.model.chat.ChatModel;
import io.github.skim4j.engine.Engine;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.ExtendWith;
import org.springframework.boot.autoconfigure.AutoConfigurations;
import org.springframework.boot.test.context.runner.ApplicationContextRunner;
import org.springframework.boot.test.system.CapturedOutput;
import org.springframework.boot.test.system.OutputCaptureExtension;
import org.springframework.boot.web.server.context.WebServerApplicationContext;

@ExtendWith(OutputCaptureExtension.class)
@Timeout(20)
class EngineDrainTest {

    private final ScriptedEngine engine = ScriptedEngine.holding();

    private final ApplicationContextRunner runner = new ApplicationContextRunner()
            .withConfiguration(AutoConfigurations.of(SkimAutoConfiguration.class))
            .withBean(Engine.class, () -> engine);

    @Test
    void requestUnderWayEndsBeforeTheEngineIsClosed() {
        runner.run(context -> {
            CompletableFuture<String> answer = chat(context.getBean(ChatModel.class));
            CompletableFuture<Void> closed = CompletableFuture.runAsync(context::close);
            Thread.sleep(100);
            assertThat(closed).isNotDone();
            assertThat(engine.isClosed()).isFalse();

            engine.release();

            assertThat(answer.get(5, TimeUnit.SECONDS)).isEqualTo(ScriptedEngine.ANSWER);
            closed.get(5, TimeUnit.SECONDS);
            assertThat(engine.isClosed()).isTrue();
        });
    }

    @Test
    void requestThatTakesTooLongIsEnded(CapturedOutput output) {
        runner.withPropertyValues("langchain4j.skim.shutdown-timeout=50ms").run(context -> {
            CompletableFuture<String> answer = chat(context.getBean(ChatModel.class));

            context.close();

            assertThat(answer).failsWithin(Duration.ofSeconds(5));
            assertThat(output).contains("Ending 1 requests that are still under way");
        });
    }

    @Test
    void queuedRequestsCount() {
        engine.queue(1);
        EngineDrain drain = new EngineDrain(engine, Duration.ofMinutes(1));
        CompletableFuture<Void> stopped = CompletableFuture.runAsync(drain::stop);

        assertThat(stopped).isNotDone();
        engine.queue(0);

        assertThat(stopped).succeedsWithin(Duration.ofSeconds(5));
    }

    @Test
    void closedEngineIsNotWaitedFor() {
        engine.queue(1);
        engine.close();

        assertThat(CompletableFuture.runAsync(new EngineDrain(engine, Duration.ofMinutes(1))::stop))
                .succeedsWithin(Duration.ofSeconds(5));
    }

    @Test
    void stopsAfterWebServers() {
        assertThat(EngineDrain.PHASE).isLessThan(WebServerApplicationContext.START_STOP_LIFECYCLE_PHASE);
    }

    private CompletableFuture<String> chat(ChatModel model) throws InterruptedException {
        CompletableFuture<String> answer = CompletableFuture.supplyAsync(() -> model.chat("hello"));
        while (engine.stats().running() == 0) {
            Thread.sleep(1);
        }
        return answer;
    }
}
