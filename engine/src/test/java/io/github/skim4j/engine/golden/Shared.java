package io.github.skim4j.engine.golden;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Files;
import java.nio.file.Path;

/** Models and goldens too large for the repository; tests that need them are skipped where they are absent. */
final class Shared {

    private Shared() {}

    /** A file of the folder that the system property {@code skim.shared} names, by default {@code shared} beside the repository. */
    static Path file(String name) {
        String folder = System.getProperty("skim.shared");
        Path file = (folder != null ? Path.of(folder) : Path.of("..", "..", "shared")).resolve(name);
        assumeTrue(Files.exists(file), () -> file + " is absent; -Dskim.shared=FOLDER tells where to look");
        return file;
    }

    /** A file of {@code $SKIM_MODELS}, by default {@code ~/.cache/skim-models}. */
    static Path cached(String name) {
        String folder = System.getenv("SKIM_MODELS");
        String cache = System.getenv().getOrDefault("XDG_CACHE_HOME", System.getProperty("user.home") + "/.cache");
        Path file = (folder != null ? Path.of(folder) : Path.of(cache, "skim-models")).resolve(name);
        assumeTrue(Files.exists(file), () -> file + " is absent; the fetch script beside its goldens brings it");
        return file;
    }
}
