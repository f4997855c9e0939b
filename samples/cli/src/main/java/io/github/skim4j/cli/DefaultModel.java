package io.github.skim4j.cli;

import io.github.skim4j.engine.SkimException;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.Set;
import java.util.TreeSet;

/** The model that is used where none is named: the one that a jar on the class path brings, as the demo model's does. */
final class DefaultModel {

    private static final String MARKER = "META-INF/skim/default-model";

    private DefaultModel() {}

    /** Reference to the class path's only model. */
    static String reference(ClassLoader classes) {
        Set<String> models = new TreeSet<>();
        try {
            for (URL marker : Collections.list(classes.getResources(MARKER))) {
                try (InputStream in = marker.openStream()) {
                    models.add(new String(in.readAllBytes(), StandardCharsets.UTF_8).strip());
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        if (models.size() != 1) {
            throw new SkimException("no model is named and the class path has "
                    + (models.isEmpty() ? "none" : "several: " + String.join(", ", models))
                    + "; give --model a path or a Hugging Face id such as owner/name");
        }
        return models.iterator().next();
    }
}
