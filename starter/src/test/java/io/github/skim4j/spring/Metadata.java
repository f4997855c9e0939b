package io.github.skim4j.spring;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.StreamSupport;

/** The configuration metadata that the build generates. */
final class Metadata {

    private final JsonNode root;

    private Metadata(JsonNode root) {
        this.root = root;
    }

    static Metadata read() {
        try (InputStream in = Metadata.class.getResourceAsStream("/META-INF/spring-configuration-metadata.json")) {
            // Other starters on the classpath have the same resource; this module's classes come first.
            Metadata metadata = new Metadata(new ObjectMapper().readTree(in));
            if (metadata.properties().isEmpty()) {
                throw new IllegalStateException("these are not the metadata of this module");
            }
            return metadata;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The properties of this module by name. */
    Map<String, JsonNode> properties() {
        Map<String, JsonNode> properties = new TreeMap<>();
        root.path("properties").forEach(property -> {
            String name = property.path("name").asText();
            if (name.startsWith(SkimProperties.PREFIX + ".")) {
                properties.put(name, property);
            }
        });
        return properties;
    }

    /** Values that are hinted at for a property. */
    List<String> hints(String property) {
        return StreamSupport.stream(root.path("hints").spliterator(), false)
                .filter(hint -> hint.path("name").asText().equals(property))
                .flatMap(hint -> StreamSupport.stream(hint.path("values").spliterator(), false))
                .map(value -> value.path("value").asText())
                .toList();
    }

    /** Names of properties with hints. */
    List<String> hinted() {
        return StreamSupport.stream(root.path("hints").spliterator(), false)
                .map(hint -> hint.path("name").asText())
                .toList();
    }
}
