package io.github.skim4j.engine.model;

import java.io.Closeable;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** A model that is on disk; closing it deletes what had to be copied there, so close it after the file that was opened. */
public final class ResolvedModel implements Closeable {

    private final String name;
    private final Path path;
    private final boolean temporary;

    private ResolvedModel(String name, Path path, boolean temporary) {
        this.name = name;
        this.path = path;
        this.temporary = temporary;
    }

    static ResolvedModel inPlace(String name, Path path) {
        return new ResolvedModel(name, path, false);
    }

    static ResolvedModel temporary(String name, Path path) {
        return new ResolvedModel(name, path, true);
    }

    /** For display: name of the file or directory, or the hub id. */
    public String name() {
        return name;
    }

    /** What {@link ModelFile#open} takes. */
    public Path path() {
        return path;
    }

    /** Idempotent. */
    @Override
    public void close() {
        if (temporary) {
            try {
                Files.deleteIfExists(path);
                Files.deleteIfExists(LabelChannels.fileOf(path));
            } catch (IOException e) {
                throw new UncheckedIOException("can't delete the temporary file " + path, e);
            }
        }
    }
}
