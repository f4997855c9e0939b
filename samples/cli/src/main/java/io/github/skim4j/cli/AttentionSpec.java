package io.github.skim4j.cli;

import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.attention.Dense;
import picocli.CommandLine.TypeConversionException;

/**
 * An attention method as the user wrote it.
 *
 * @param text {@code dense} or {@code name:key=value,…}
 */
public record AttentionSpec(String text, AttentionMethod method) {

    public static final AttentionSpec DENSE = new AttentionSpec("dense", new Dense());

    /** Reads a command line's value. */
    public static AttentionSpec parse(String text) {
        try {
            return new AttentionSpec(text, AttentionMethod.parse(text));
        } catch (IllegalArgumentException e) {
            throw new TypeConversionException(e.getMessage());
        }
    }
}
