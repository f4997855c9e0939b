package io.github.skim4j.cli;

import io.github.skim4j.engine.SkimException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;

/** Reads texts that are taken as they are. */
public final class TextFiles {

    private TextFiles() {}

    /** @throws SkimException naming the file, if it isn't there or is no UTF-8 text */
    public static String read(Path text) {
        try {
            return Files.readString(text);
        } catch (NoSuchFileException e) {
            throw new SkimException(text + " does not exist", e);
        } catch (IOException e) {
            throw new SkimException(text + " can't be read as UTF-8 text: " + e.getMessage(), e);
        }
    }
}
