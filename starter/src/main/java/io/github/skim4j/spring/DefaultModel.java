package io.github.skim4j.spring;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.Set;
import java.util.TreeSet;

/** The model of an artifact on the classpath: {@value #MARKER} holds a reference to it. */
final class DefaultModel {

    static final String MARKER = "META-INF/skim/default-model";

    private DefaultModel() {}

    /** Reference to the classpath's only model. */
    static String find(ClassLoader classLoader) {
        Set<String> models = new TreeSet<>();
        try {
            for (URL marker : Collections.list(classLoader.getResources(MARKER))) {
                try (InputStream in = marker.openStream()) {
                    models.add(new String(in.readAllBytes(), StandardCharsets.UTF_8).trim());
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        if (models.isEmpty()) {
            throw new NoModelException("No model is set, and none is on the classpath");
        }
        if (models.size() > 1) {
            throw new NoModelException(
                    "No model is set, and several are on the classpath: " + String.join(", ", models));
        }
        return models.iterator().next();
    }
}
