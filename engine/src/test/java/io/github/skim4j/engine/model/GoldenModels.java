package io.github.skim4j.engine.model;

import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;

/** The tiny models among the test resources. */
final class GoldenModels {

    private GoldenModels() {}

    static Path path(String name) {
        try {
            return Path.of(
                    GoldenModels.class.getResource("/goldens/models/" + name).toURI());
        } catch (URISyntaxException e) {
            throw new IllegalStateException(e);
        }
    }

    /** A copy that a test may change. */
    static Path copy(String name, Path target) throws IOException {
        Files.createDirectories(target);
        try (DirectoryStream<Path> files = Files.newDirectoryStream(path(name))) {
            for (Path file : files) {
                Files.copy(file, target.resolve(file.getFileName()));
            }
        }
        return target;
    }

    /** The same as GGUF. */
    static Path gguf(String name, TensorType type, Path target) throws IOException {
        try (ModelFile model = ModelFile.open(path(name))) {
            GgufConverter.convert(model, target, type);
        }
        return target;
    }
}
