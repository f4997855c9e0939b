package io.github.skim4j.spring.actuate;

import io.github.skim4j.engine.Engine;
import io.github.skim4j.engine.EngineStats;
import org.springframework.boot.health.contributor.AbstractHealthIndicator;
import org.springframework.boot.health.contributor.Health;

/** Up while the engine serves requests. */
public class SkimHealthIndicator extends AbstractHealthIndicator {

    private final Engine engine;

    public SkimHealthIndicator(Engine engine) {
        super("The engine's state can't be read");
        this.engine = engine;
    }

    @Override
    protected void doHealthCheck(Health.Builder builder) {
        EngineStats stats = engine.stats();
        if (stats.failure() == null) {
            builder.up();
        } else {
            builder.down().withDetail("failure", stats.failure());
        }
        builder.withDetail("model", engine.modelName())
                .withDetail("device", stats.device())
                .withDetail("pagesFree", stats.pagesFree())
                .withDetail("pagesTotal", stats.pagesTotal());
        if (stats.fallbackReason() != null) {
            builder.withDetail("fallbackReason", stats.fallbackReason());
        }
    }
}
