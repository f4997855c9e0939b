package io.github.skim4j.spring.failure;

import io.github.skim4j.spring.InvalidSkimPropertyException;
import java.util.Objects;
import java.util.stream.StreamSupport;
import org.springframework.boot.context.properties.source.ConfigurationPropertyName;
import org.springframework.boot.context.properties.source.ConfigurationPropertySources;
import org.springframework.boot.diagnostics.AbstractFailureAnalyzer;
import org.springframework.boot.diagnostics.FailureAnalysis;
import org.springframework.boot.origin.Origin;
import org.springframework.core.env.Environment;

/** Names the property that has an invalid value, and where it was set. */
class InvalidSkimPropertyFailureAnalyzer extends AbstractFailureAnalyzer<InvalidSkimPropertyException> {

    private final Environment environment;

    InvalidSkimPropertyFailureAnalyzer(Environment environment) {
        this.environment = environment;
    }

    @Override
    protected FailureAnalysis analyze(Throwable rootFailure, InvalidSkimPropertyException cause) {
        Origin origin = origin(cause.property());
        String description = "The value of a property is invalid:\n\n    Property: " + cause.property()
                + "\n    Value: " + cause.value()
                + (origin == null ? "" : "\n    Origin: " + origin)
                + "\n    Reason: " + cause.getCause().getMessage();
        return new FailureAnalysis(description, "Correct the value of " + cause.property() + ".", cause);
    }

    private Origin origin(String property) {
        ConfigurationPropertyName name = ConfigurationPropertyName.of(property);
        return StreamSupport.stream(
                        ConfigurationPropertySources.get(environment).spliterator(), false)
                .map(source -> source.getConfigurationProperty(name))
                .filter(Objects::nonNull)
                .map(Origin::from)
                .filter(Objects::nonNull)
                .findFirst()
                .orElse(null);
    }
}
