package io.github.skim4j.cli;

import java.io.IOException;
import java.lang.ProcessBuilder.Redirect;

/** Whether a person watches the error stream, which carries progress bars and statistics. */
final class Terminal {

    /** System property by which the launcher, which sees the real stream, tells its child. */
    static final String ERROR_IS_TERMINAL = "skim.error-is-terminal";

    private Terminal() {}

    static boolean isErrorStream() {
        String told = System.getProperty(ERROR_IS_TERMINAL);
        if (told != null) {
            return Boolean.parseBoolean(told);
        }
        try {
            // Java has no isatty for the error stream.
            Process test = new ProcessBuilder("sh", "-c", "test -t 2")
                    .redirectError(Redirect.INHERIT)
                    .start();
            return test.waitFor() == 0;
        } catch (IOException e) {
            return System.console() != null;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return false;
        }
    }
}
