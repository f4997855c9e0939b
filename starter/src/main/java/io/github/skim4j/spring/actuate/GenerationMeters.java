package io.github.skim4j.spring.actuate;

import io.github.skim4j.engine.EngineObserver;
import io.github.skim4j.engine.GenerationResult;
import io.micrometer.core.instrument.DistributionSummary;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Tags;
import io.micrometer.core.instrument.Timer;
import java.time.Duration;
import java.util.function.Supplier;

/** Meters of each request, by the names of OpenTelemetry's semantic conventions for generative AI. */
public class GenerationMeters implements EngineObserver {

    private final MeterRegistry registry;
    private final Supplier<String> model;

    /** @param model name of the model; asked for after the first request */
    public GenerationMeters(MeterRegistry registry, Supplier<String> model) {
        this.registry = registry;
        this.model = model;
    }

    @Override
    public void onComplete(GenerationResult result) {
        duration(result.totalTime(), "none");
        tokens("input", result.promptTokens());
        tokens("output", result.generatedTokens());
        if (result.generatedTokens() > 0) {
            timer("gen_ai.server.time_to_first_token", "From submission to the first token", tags())
                    .record(result.timeToFirstToken());
        }
        if (result.generatedTokens() > 1) {
            timer("gen_ai.server.time_per_output_token", "Per token after the first, averaged over a request", tags())
                    .record(result.totalTime()
                            .minus(result.timeToFirstToken())
                            .dividedBy(result.generatedTokens() - 1));
        }
    }

    @Override
    public void onError(Throwable error, Duration totalTime) {
        duration(totalTime, error.getClass().getSimpleName());
    }

    private void duration(Duration totalTime, String errorType) {
        timer("gen_ai.server.request.duration", "From submission to the end", tags().and("error.type", errorType))
                .record(totalTime);
    }

    private void tokens(String type, int count) {
        DistributionSummary.builder("gen_ai.client.token.usage")
                .description("Tokens of a request")
                .baseUnit("tokens")
                .tags(tags().and("gen_ai.token.type", type))
                .register(registry)
                .record(count);
    }

    private Timer timer(String name, String description, Tags tags) {
        return Timer.builder(name).description(description).tags(tags).register(registry);
    }

    private Tags tags() {
        return Tags.of(
                "gen_ai.operation.name", "chat",
                "gen_ai.provider.name", "skim",
                "gen_ai.request.model", model.get());
    }
}
