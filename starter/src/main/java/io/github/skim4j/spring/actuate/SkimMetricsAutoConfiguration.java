package io.github.skim4j.spring.actuate;

import io.github.skim4j.engine.Engine;
import io.github.skim4j.engine.EngineConfig;
import io.github.skim4j.spring.CaffeineTokenCache;
import io.github.skim4j.spring.SkimAutoConfiguration;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Tags;
import io.micrometer.core.instrument.binder.cache.CaffeineCacheMetrics;
import org.springframework.beans.factory.ObjectProvider;
import org.springframework.boot.autoconfigure.AutoConfiguration;
import org.springframework.boot.autoconfigure.condition.ConditionalOnBean;
import org.springframework.boot.autoconfigure.condition.ConditionalOnClass;
import org.springframework.boot.autoconfigure.condition.ConditionalOnMissingBean;
import org.springframework.boot.micrometer.metrics.autoconfigure.CompositeMeterRegistryAutoConfiguration;
import org.springframework.boot.micrometer.metrics.autoconfigure.MetricsAutoConfiguration;
import org.springframework.context.annotation.Bean;

/** Meters of requests, engine and token cache. */
@AutoConfiguration(
        after = {
            SkimAutoConfiguration.class,
            MetricsAutoConfiguration.class,
            CompositeMeterRegistryAutoConfiguration.class
        })
@ConditionalOnClass({MeterRegistry.class, MetricsAutoConfiguration.class})
@ConditionalOnBean({MeterRegistry.class, Engine.class})
public class SkimMetricsAutoConfiguration {

    /** The engine is looked up late: it needs this bean to be opened. */
    @Bean
    @ConditionalOnMissingBean
    GenerationMeters skimGenerationMeters(MeterRegistry registry, ObjectProvider<Engine> engine) {
        return new GenerationMeters(registry, () -> engine.getObject().modelName());
    }

    @Bean
    @ConditionalOnMissingBean
    EngineMeters skimEngineMeters(Engine engine, ObjectProvider<EngineConfig> config) {
        return new EngineMeters(engine, config.getIfAvailable());
    }

    @Bean
    @ConditionalOnMissingBean(name = "skimTokenCacheMeters")
    @ConditionalOnBean(CaffeineTokenCache.class)
    CaffeineCacheMetrics<String, int[], ?> skimTokenCacheMeters(CaffeineTokenCache cache) {
        return new CaffeineCacheMetrics<>(cache.cache(), "skim.tokens", Tags.empty());
    }
}
