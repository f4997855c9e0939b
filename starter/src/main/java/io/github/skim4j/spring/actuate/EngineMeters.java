package io.github.skim4j.spring.actuate;

import io.github.skim4j.engine.Engine;
import io.github.skim4j.engine.EngineConfig;
import io.github.skim4j.engine.EngineStats;
import io.micrometer.core.instrument.FunctionCounter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.binder.MeterBinder;
import java.util.function.ToDoubleFunction;

/** Meters of the engine's state and of what its attention reads. */
public class EngineMeters implements MeterBinder {

    private final Engine engine;
    private final EngineConfig config;

    /** @param config what the engine was opened with; {@code null} if that is not known */
    public EngineMeters(Engine engine, EngineConfig config) {
        this.engine = engine;
        this.config = config;
    }

    @Override
    public void bindTo(MeterRegistry registry) {
        gauge(registry, "skim.kv.pages.free", "pages", "KV pages without an owner", EngineStats::pagesFree);
        gauge(registry, "skim.kv.pages.total", "pages", "KV pages in the pool", EngineStats::pagesTotal);
        gauge(registry, "skim.queue.depth", "requests", "Requests that wait", EngineStats::queued);
        gauge(registry, "skim.requests.running", "requests", "Requests being served", EngineStats::running);
        gauge(
                registry,
                "skim.attention.density",
                null,
                "Attended share of the tokens that sparse attention could have read, since the start",
                stats -> stats.attention().density());
        gauge(
                registry,
                "skim.attention.traffic",
                null,
                "Bytes that sparse attention read, selection included, relative to dense attention's, since the start",
                stats -> stats.attention().traffic());
        tokens(
                registry,
                "skim.attention.tokens.evicted",
                "Tokens that attention methods dropped from the KV cache",
                stats -> stats.attention().tokensEvicted());
        tokens(
                registry,
                "skim.prefix.cache.tokens",
                "Prompt tokens that had their keys and values in the prefix cache",
                EngineStats::cachedTokens);
        if (config != null && config.recallProbe() > 0) {
            gauge(
                    registry,
                    "skim.attention.kept.mass",
                    null,
                    "Mean share of the attention that fell on what was read, in the samples of the recall probe",
                    stats -> stats.attention().probe().keptMass());
            gauge(
                    registry,
                    "skim.attention.output.error",
                    null,
                    "Mean relative error of the heads' outputs, in the samples of the recall probe",
                    stats -> stats.attention().probe().outputError());
        }
    }

    private void tokens(MeterRegistry registry, String name, String description, ToDoubleFunction<EngineStats> count) {
        FunctionCounter.builder(name, engine, e -> count.applyAsDouble(e.stats()))
                .baseUnit("tokens")
                .description(description)
                .register(registry);
    }

    private void gauge(
            MeterRegistry registry, String name, String unit, String description, ToDoubleFunction<EngineStats> value) {
        Gauge.builder(name, engine, e -> value.applyAsDouble(e.stats()))
                .baseUnit(unit)
                .description(description)
                .register(registry);
    }
}
