package io.github.skim4j.cli.plot;

import io.github.skim4j.engine.SkimException;
import java.util.function.Supplier;

/** Draws without a screen. Apart from what is drawn, whose classes may already need what the Java here lacks. */
public final class Drawing {

    private Drawing() {}

    /**
     * @param file for messages
     * @throws SkimException if this Java lacks what it takes to draw
     */
    public static String of(String file, Supplier<String> drawing) {
        System.setProperty("java.awt.headless", "true");
        try {
            return drawing.get();
        } catch (LinkageError | InternalError e) {
            throw new SkimException(
                    file + " can't be drawn: " + e + "; Java needs fontconfig and a font for it, then run this again",
                    e);
        }
    }
}
