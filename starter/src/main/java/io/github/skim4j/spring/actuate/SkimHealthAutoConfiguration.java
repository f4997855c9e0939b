package io.github.skim4j.spring.actuate;

import io.github.skim4j.engine.Engine;
import io.github.skim4j.spring.SkimAutoConfiguration;
import org.springframework.boot.autoconfigure.AutoConfiguration;
import org.springframework.boot.autoconfigure.condition.ConditionalOnBean;
import org.springframework.boot.autoconfigure.condition.ConditionalOnClass;
import org.springframework.boot.autoconfigure.condition.ConditionalOnMissingBean;
import org.springframework.boot.health.autoconfigure.contributor.ConditionalOnEnabledHealthIndicator;
import org.springframework.boot.health.contributor.HealthIndicator;
import org.springframework.context.annotation.Bean;

/** The engine's health. */
@AutoConfiguration(after = SkimAutoConfiguration.class)
@ConditionalOnClass({HealthIndicator.class, ConditionalOnEnabledHealthIndicator.class})
@ConditionalOnBean(Engine.class)
public class SkimHealthAutoConfiguration {

    @Bean
    @ConditionalOnEnabledHealthIndicator("skim")
    @ConditionalOnMissingBean(name = "skimHealthIndicator")
    SkimHealthIndicator skimHealthIndicator(Engine engine) {
        return new SkimHealthIndicator(engine);
    }
}
