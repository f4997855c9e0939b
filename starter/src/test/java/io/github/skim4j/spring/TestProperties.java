package io.github.skim4j.spring;

import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.springframework.boot.context.properties.bind.Binder;
import org.springframework.boot.context.properties.source.MapConfigurationPropertySource;
import org.springframework.boot.convert.ApplicationConversionService;

/** Properties as Spring Boot binds them. */
final class TestProperties {

    private TestProperties() {}

    /** @param values by names without the prefix */
    static SkimProperties bind(Map<String, String> values) {
        Map<String, String> prefixed = values.entrySet().stream()
                .collect(Collectors.toMap(value -> SkimProperties.PREFIX + "." + value.getKey(), Map.Entry::getValue));
        return new Binder(
                        List.of(new MapConfigurationPropertySource(prefixed)),
                        null,
                        ApplicationConversionService.getSharedInstance())
                .bindOrCreate(SkimProperties.PREFIX, SkimProperties.class);
    }
}
