package io.github.skim4j.cli;

import io.github.skim4j.engine.ContextLengthExceededException;
import io.github.skim4j.engine.Engine;
import io.github.skim4j.engine.GenerationResult;
import io.github.skim4j.engine.chat.ChatMessage;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** A conversation, a line a turn. */
@Command(
        name = "chat",
        description = {
            "Talks with a model, a line a turn.",
            "/reset forgets the conversation, Ctrl-D or /exit ends it.",
        },
        mixinStandardHelpOptions = true,
        versionProvider = Version.class)
final class ChatCommand implements Callable<Integer> {

    private final Host host;

    @Spec
    private CommandSpec spec;

    @Mixin
    private EngineOptions engineOptions;

    @Mixin
    private GenerationOptions generationOptions;

    @Option(
            names = "--system",
            paramLabel = "TEXT",
            description = "System message that stands before the conversation.")
    private String system;

    ChatCommand(Host host) {
        this.host = host;
    }

    @Override
    public Integer call() throws IOException {
        PrintWriter err = spec.commandLine().getErr();
        // Not closed: the process's input is not ours.
        BufferedReader input = new BufferedReader(new InputStreamReader(host.input(), host.charset()));
        try (Engine engine = engineOptions.open(host)) {
            if (host.errorIsTerminal()) {
                err.println(engine.modelName() + " on " + engine.stats().device()
                        + ". /reset forgets the conversation, Ctrl-D ends it.");
            }
            List<ChatMessage> history = start();
            for (String line = prompt(input); line != null && !line.equals("/exit"); line = prompt(input)) {
                if (line.equals("/reset")) {
                    history = start();
                } else if (!line.isEmpty()) {
                    turn(engine, history, line);
                }
            }
        }
        return 0;
    }

    private List<ChatMessage> start() {
        List<ChatMessage> history = new ArrayList<>();
        if (system != null) {
            history.add(ChatMessage.system(system));
        }
        return history;
    }

    private String prompt(BufferedReader input) throws IOException {
        if (host.errorIsTerminal()) {
            spec.commandLine().getErr().print("> ");
            spec.commandLine().getErr().flush();
        }
        String line = input.readLine();
        return line == null ? null : line.strip();
    }

    private void turn(Engine engine, List<ChatMessage> history, String line) {
        history.add(ChatMessage.user(line));
        try {
            GenerationResult result = Generations.stream(
                    engine,
                    generationOptions.request(engine, history),
                    spec.commandLine().getOut());
            history.add(ChatMessage.assistant(result.text()));
            if (host.errorIsTerminal()) {
                spec.commandLine().getErr().println(Generations.summary(result));
            }
        } catch (ContextLengthExceededException e) {
            history.remove(history.size() - 1);
            spec.commandLine().getErr().println("skim: " + e.getMessage() + " (/reset forgets the conversation)");
        }
    }
}
