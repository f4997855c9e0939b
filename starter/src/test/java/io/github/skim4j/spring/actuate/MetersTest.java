package io.github.skim4j.spring.actuate;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.skim4j.engine.AttentionStats;
import io.github.skim4j.engine.Engine;
import io.github.skim4j.engine.EngineConfig;
import io.github.skim4j.engine.FinishReason;
import io.github.skim4j.engine.GenerationResult;
import io.github.skim4j.engine.QueueFullException;
import io.github.skim4j.spring.CaffeineTokenCache;
import io.github.skim4j.spring.ScriptedEngine;
import io.github.skim4j.spring.SkimAutoConfiguration;
import io.micrometer.core.instrument.DistributionSummary;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Timer;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.springframework.boot.autoconfigure.AutoConfigurations;
import org.springframework.boot.micrometer.metrics.autoconfigure.CompositeMeterRegistryAutoConfiguration;
import org.springframework.boot.micrometer.metrics.autoconfigure.MetricsAutoConfiguration;
import org.springframework.boot.micrometer.metrics.autoconfigure.export.simple.SimpleMetricsExportAutoConfiguration;
import org.springframework.boot.test.context.runner.ApplicationContextRunner;
import org.springframework.util.unit.DataSize;

class MetersTest {

    private final ScriptedEngine engine = ScriptedEngine.immediate();
    private final MeterRegistry registry = new SimpleMeterRegistry();
    private final GenerationMeters meters = new GenerationMeters(registry, engine::modelName);

    private final ApplicationContextRunner runner = new ApplicationContextRunner()
            .withConfiguration(AutoConfigurations.of(
                    SkimAutoConfiguration.class,
                    SkimMetricsAutoConfiguration.class,
                    MetricsAutoConfiguration.class,
                    CompositeMeterRegistryAutoConfiguration.class,
                    SimpleMetricsExportAutoConfiguration.class))
            .withBean(Engine.class, () -> engine);

    @Test
    void completedRequest() {
        meters.onComplete(ScriptedEngine.result());

        assertThat(timer("gen_ai.server.request.duration").totalTime(TimeUnit.MILLISECONDS))
                .isEqualTo(500);
        assertThat(timer("gen_ai.server.time_to_first_token").totalTime(TimeUnit.MILLISECONDS))
                .isEqualTo(100);
        assertThat(timer("gen_ai.server.time_per_output_token").totalTime(TimeUnit.MILLISECONDS))
                .isEqualTo(200);
        assertThat(tokens("input").totalAmount()).isEqualTo(10);
        assertThat(tokens("output").totalAmount()).isEqualTo(3);
    }

    @Test
    void requestsAreTagged() {
        meters.onComplete(ScriptedEngine.result());

        assertThat(registry.getMeters()).isNotEmpty().allSatisfy(meter -> {
            assertThat(meter.getId().getTag("gen_ai.operation.name")).isEqualTo("chat");
            assertThat(meter.getId().getTag("gen_ai.provider.name")).isEqualTo("skim");
            assertThat(meter.getId().getTag("gen_ai.request.model")).isEqualTo("scripted-model");
        });
        assertThat(timer("gen_ai.server.request.duration").getId().getTag("error.type"))
                .isEqualTo("none");
    }

    @Test
    void requestCancelledBeforeItsFirstToken() {
        meters.onComplete(new GenerationResult(
                "",
                List.of(),
                FinishReason.CANCELLED,
                10,
                0,
                0,
                Duration.ZERO,
                Duration.ZERO,
                Duration.ofMillis(30),
                AttentionStats.NONE));

        assertThat(timer("gen_ai.server.request.duration").count()).isEqualTo(1);
        assertThat(registry.find("gen_ai.server.time_to_first_token").timer()).isNull();
        assertThat(registry.find("gen_ai.server.time_per_output_token").timer()).isNull();
    }

    @Test
    void failedRequest() {
        meters.onError(new QueueFullException("full"), Duration.ofMillis(40));

        Timer duration = registry.get("gen_ai.server.request.duration")
                .tag("error.type", "QueueFullException")
                .timer();
        assertThat(duration.totalTime(TimeUnit.MILLISECONDS)).isEqualTo(40);
    }

    private Timer timer(String name) {
        return registry.get(name).timer();
    }

    private DistributionSummary tokens(String type) {
        return registry.get("gen_ai.client.token.usage")
                .tag("gen_ai.token.type", type)
                .summary();
    }

    @Test
    void gaugesOfTheEngine() {
        engine.queue(2);
        runner.run(context -> {
            MeterRegistry registry = context.getBean(MeterRegistry.class);

            assertThat(registry.get("skim.kv.pages.free").gauge().value()).isEqualTo(200);
            assertThat(registry.get("skim.kv.pages.total").gauge().value()).isEqualTo(256);
            assertThat(registry.get("skim.queue.depth").gauge().value()).isEqualTo(2);
            assertThat(registry.get("skim.requests.running").gauge().value()).isZero();
            assertThat(registry.get("skim.attention.density").gauge().value()).isEqualTo(0.25);
            assertThat(registry.get("skim.attention.traffic").gauge().value()).isEqualTo(0.3);
            assertThat(registry.get("skim.attention.tokens.evicted")
                            .functionCounter()
                            .count())
                    .isEqualTo(5);
            assertThat(registry.get("skim.prefix.cache.tokens")
                            .functionCounter()
                            .count())
                    .isEqualTo(400);
            assertThat(context).hasSingleBean(GenerationMeters.class);
            engine.queue(0);
        });
    }

    @Test
    void gaugesOfTheRecallProbeWhereItIsOn() {
        for (double share : new double[] {0, 0.01}) {
            EngineConfig config = EngineConfig.builder("m").recallProbe(share).build();
            runner.withBean(EngineConfig.class, () -> config).run(context -> {
                MeterRegistry registry = context.getBean(MeterRegistry.class);

                if (share == 0) {
                    assertThat(registry.find("skim.attention.kept.mass").gauge())
                            .isNull();
                    assertThat(registry.find("skim.attention.output.error").gauge())
                            .isNull();
                } else {
                    assertThat(registry.get("skim.attention.kept.mass").gauge().value())
                            .isEqualTo(0.9);
                    assertThat(registry.get("skim.attention.output.error")
                                    .gauge()
                                    .value())
                            .isEqualTo(0.05);
                }
            });
        }
    }

    @Test
    void statisticsOfTheTokenCache() {
        CaffeineTokenCache cache = new CaffeineTokenCache(DataSize.ofMegabytes(1));
        runner.withBean(CaffeineTokenCache.class, () -> cache).run(context -> {
            cache.get("a text", text -> new int[] {1});
            cache.get("a text", text -> new int[] {1});

            MeterRegistry registry = context.getBean(MeterRegistry.class);
            assertThat(registry.get("cache.gets")
                            .tags("cache", "skim.tokens", "result", "hit")
                            .functionCounter()
                            .count())
                    .isEqualTo(1);
            assertThat(registry.get("cache.size")
                            .tag("cache", "skim.tokens")
                            .gauge()
                            .value())
                    .isEqualTo(1);
        });
    }

    @Test
    void noMetersWithoutARegistry() {
        new ApplicationContextRunner()
                .withConfiguration(
                        AutoConfigurations.of(SkimAutoConfiguration.class, SkimMetricsAutoConfiguration.class))
                .withBean(Engine.class, () -> engine)
                .run(context -> assertThat(context).hasNotFailed().doesNotHaveBean(EngineMeters.class));
    }
}
