package io.github.skim4j.cli;

import io.github.skim4j.cli.bench.BenchCommand;
import io.github.skim4j.cli.eval.EvalCommand;
import io.github.skim4j.cli.inspect.InspectCommand;
import io.github.skim4j.engine.Engine;
import java.io.Console;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.ScopeType;

/** The program's root command. */
@Command(
        name = "skim",
        description =
                "Runs a language model in this process: over documents, in a chat, in evaluations and measurements.",
        mixinStandardHelpOptions = true,
        versionProvider = Version.class,
        synopsisSubcommandLabel = "COMMAND",
        footer = {
            "",
            "A model is a Hugging Face folder, a .gguf file, classpath:RESOURCE, or a Hugging Face id such as owner/name.",
            "Exit codes: 0 success, 1 failure, 2 wrong usage.",
            "",
            "Example:",
            "  skim ask --document handbook.txt --question \"Who leads Project Heron?\""
        })
public final class Skim {

    @Option(
            names = "--verbose",
            scope = ScopeType.INHERIT,
            description = "Log what the engine does and print stack traces, on the error stream.")
    private boolean verbose;

    private Skim() {}

    /** Runs one command line with this process's streams and returns its exit code. */
    static int run(String[] args) {
        Charset charset = charset();
        PrintWriter out =
                new PrintWriter(new PrintStream(new FileOutputStream(FileDescriptor.out), false, charset), true);
        PrintWriter err =
                new PrintWriter(new PrintStream(new FileOutputStream(FileDescriptor.err), false, charset), true);
        int exit = commandLine(new Host(Engine::open, System.in, charset, Terminal.isErrorStream()))
                .setOut(out)
                .setErr(err)
                .execute(args);
        out.flush();
        err.flush();
        return exit;
    }

    /** UTF-8, whatever the locale, unless the Windows console needs its own. */
    private static Charset charset() {
        Console console = System.console();
        boolean windows = System.getProperty("os.name").startsWith("Windows");
        return console != null && windows ? console.charset() : StandardCharsets.UTF_8;
    }

    static CommandLine commandLine(Host host) {
        Skim skim = new Skim();
        CommandLine line = new CommandLine(skim)
                .addSubcommand(new AskCommand(host))
                .addSubcommand(new ChatCommand(host))
                .addSubcommand(new InspectCommand(host))
                .addSubcommand(new ConvertCommand(host))
                .addSubcommand(new CalibrateCommand(host))
                .addSubcommand(new EvalCommand(host))
                .addSubcommand(new BenchCommand(host))
                .addSubcommand(new CommandLine.HelpCommand());
        line.registerConverter(AttentionSpec.class, AttentionSpec::parse);
        line.setCaseInsensitiveEnumValuesAllowed(true);
        line.setExpandAtFiles(false);
        line.setUsageHelpAutoWidth(true);
        line.setParameterExceptionHandler(Errors::usage);
        line.setExecutionExceptionHandler((e, command, parsed) -> Errors.failure(e, command, skim.verbose));
        line.setExecutionStrategy(parsed -> {
            if (skim.verbose) {
                System.setProperty("org.slf4j.simpleLogger.defaultLogLevel", "info");
            }
            try {
                return new CommandLine.RunLast().execute(parsed);
            } catch (OutOfMemoryError e) {
                throw new CommandLine.ExecutionException(line, "out of memory", Errors.outOfMemory(e));
            }
        });
        return line;
    }
}
