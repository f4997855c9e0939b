package io.github.skim4j.spring.actuate;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.skim4j.engine.AttentionStats;
import io.github.skim4j.engine.Engine;
import io.github.skim4j.engine.EngineConfig;
import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.spring.ScriptedEngine;
import io.github.skim4j.spring.SkimAutoConfiguration;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.springframework.boot.actuate.info.Info;
import org.springframework.boot.autoconfigure.AutoConfigurations;
import org.springframework.boot.health.contributor.Health;
import org.springframework.boot.health.contributor.Status;
import org.springframework.boot.test.context.runner.ApplicationContextRunner;

class ActuatorTest {

    private final ScriptedEngine engine = ScriptedEngine.immediate();

    private final ApplicationContextRunner runner = new ApplicationContextRunner()
            .withConfiguration(AutoConfigurations.of(
                    SkimAutoConfiguration.class,
                    SkimEndpointAutoConfiguration.class,
                    SkimHealthAutoConfiguration.class))
            .withBean(Engine.class, () -> engine);

    @Test
    void healthyEngine() {
        Health health = health();

        assertThat(health.getStatus()).isEqualTo(Status.UP);
        assertThat(health.getDetails())
                .isEqualTo(Map.of(
                        "model", "scripted-model", "device", "CPU, 1 thread", "pagesFree", 200, "pagesTotal", 256));
    }

    @Test
    void healthTellsWhyItIsOnTheCpu() {
        engine.fallBack("no CUDA driver");

        assertThat(health().getStatus()).isEqualTo(Status.UP);
        assertThat(health().getDetails()).containsEntry("fallbackReason", "no CUDA driver");
    }

    @Test
    void closedEngineIsDown() {
        engine.close();

        assertThat(health().getStatus()).isEqualTo(Status.DOWN);
        assertThat(health().getDetails()).containsEntry("failure", "the engine is closed");
    }

    private Health health() {
        return new SkimHealthIndicator(engine).health();
    }

    @Test
    void healthIndicatorCanBeSwitchedOff() {
        runner.run(context -> assertThat(context).hasBean("skimHealthIndicator"));
        runner.withPropertyValues("management.health.skim.enabled=false")
                .run(context -> assertThat(context).doesNotHaveBean(SkimHealthIndicator.class));
    }

    @Test
    void infoNamesModelAndDevice() {
        runner.run(context -> {
            Info.Builder info = new Info.Builder();
            context.getBean(SkimInfoContributor.class).contribute(info);

            assertThat(info.build().getDetails())
                    .isEqualTo(Map.of(
                            "skim",
                            Map.of("model", "scripted-model", "device", "CPU, 1 thread", "contextLength", 4096)));
        });
        runner.withPropertyValues("management.info.skim.enabled=false")
                .run(context -> assertThat(context).doesNotHaveBean(SkimInfoContributor.class));
    }

    @Test
    void endpointNeedsExposure() {
        runner.run(context -> assertThat(context).doesNotHaveBean(SkimEndpoint.class));
        runner.withPropertyValues("management.endpoints.web.exposure.include=skim")
                .run(context -> assertThat(context).hasSingleBean(SkimEndpoint.class));
    }

    @Test
    void endpointShowsTheEnginesState() {
        EngineConfig config = EngineConfig.builder("m")
                .attention(AttentionMethod.parse("streaming-llm:budget=1024"))
                .minContext(2048)
                .build();

        assertThat(new SkimEndpoint(engine, config).state())
                .isEqualTo(new SkimEndpoint.State(
                        "scripted-model",
                        "CPU, 1 thread",
                        null,
                        null,
                        4096,
                        new SkimEndpoint.Attention(
                                "streaming-llm:budget=1024,sinks=4",
                                2048,
                                0.25,
                                0.3,
                                25,
                                100,
                                5,
                                3,
                                0.125,
                                new SkimEndpoint.RecallProbe(4, 0.9, 0.05)),
                        new SkimEndpoint.Pages(256, 200, 16),
                        new SkimEndpoint.Requests(0, 0, 20, 4, 1),
                        new SkimEndpoint.Tokens(1000, 400, 100)));
    }

    @Test
    void endpointHasNoFiguresOfWhatWasNotMeasured() {
        engine.attended(AttentionStats.ofTokens(25, 100, 5));

        SkimEndpoint.Attention attention =
                new SkimEndpoint(engine, null).state().attention();
        assertThat(attention.density()).isEqualTo(0.25);
        assertThat(attention.selectionTimeShare()).isNull();
        assertThat(attention.recallProbe()).isNull();
    }

    @Test
    void endpointOfAnEngineOfTheApplication() {
        assertThat(new SkimEndpoint(engine, null).state().attention().method()).isNull();
    }
}
