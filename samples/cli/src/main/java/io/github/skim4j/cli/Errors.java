package io.github.skim4j.cli;

import io.github.skim4j.engine.SkimException;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import picocli.CommandLine;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.UnmatchedArgumentException;

/** One line for an error, on the error stream. */
final class Errors {

    private Errors() {}

    static int usage(ParameterException e, String[] args) {
        CommandLine command = e.getCommandLine();
        PrintWriter err = command.getErr();
        print(command, e.getMessage());
        if (!UnmatchedArgumentException.printSuggestions(e, err)) {
            err.println("Try '" + command.getCommandSpec().qualifiedName() + " --help'.");
        }
        err.flush();
        return ExitCode.USAGE;
    }

    static int failure(Throwable e, CommandLine command, boolean verbose) {
        print(command, message(e));
        if (verbose) {
            e.printStackTrace(command.getErr());
        }
        command.getErr().flush();
        return ExitCode.SOFTWARE;
    }

    /** Names the way out of a heap that is too small. */
    static SkimException outOfMemory(OutOfMemoryError e) {
        return new SkimException(
                "the Java heap of " + Runtime.getRuntime().maxMemory() / (1 << 20)
                        + " MiB is too small (" + e.getMessage()
                        + "): raise it, such as with java -Xmx8g -jar skim.jar, "
                        + "or take --weights q4_0 or shorter contexts",
                e);
    }

    private static String message(Throwable e) {
        boolean expected = e instanceof SkimException
                || e instanceof IllegalArgumentException
                || e instanceof UncheckedIOException
                || e instanceof IOException;
        return expected && e.getMessage() != null ? e.getMessage() : "unexpected " + e + " (--verbose prints where)";
    }

    private static void print(CommandLine command, String message) {
        String label = command.getColorScheme().errorText("skim:").toString();
        command.getErr().println(label + " " + message);
    }
}
