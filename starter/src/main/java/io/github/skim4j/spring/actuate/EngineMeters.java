package io.github.skim4j.spring.actuate;

import io.github.skim4j.engine.Engine;
import io.github.skim4j.engine.EngineStats;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.binder.MeterBinder;
import java.util.function.ToDoubleFunction;

/** Gauges of the engine's state. */
public class EngineMeters implements MeterBinder {

    private final Engine engine;

    public EngineMeters(Engine engine) {
        this.engine = engine;
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
    }

    private void gauge(
            MeterRegistry registry, String name, String unit, String description, ToDoubleFunction<EngineStats> value) {
        Gauge.builder(name, engine, e -> value.applyAsDouble(e.stats()))
                .baseUnit(unit)
                .description(description)
                .register(registry);
    }
}
