package io.github.skim4j.cli;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;

/** One command line, run in this process. */
public record CommandRun(int exit, String out, String err) {

    public static CommandRun typing(ScriptedEngine engine, String input, String... args) {
        StringWriter out = new StringWriter();
        StringWriter err = new StringWriter();
        Host host = new Host(
                engine::open,
                new ByteArrayInputStream(input.getBytes(StandardCharsets.UTF_8)),
                StandardCharsets.UTF_8,
                false);
        int exit = Skim.commandLine(host)
                .setOut(new PrintWriter(out))
                .setErr(new PrintWriter(err))
                .setColorScheme(picocli.CommandLine.Help.defaultColorScheme(picocli.CommandLine.Help.Ansi.OFF))
                .execute(args);
        return new CommandRun(exit, out.toString(), err.toString());
    }

    public static CommandRun of(ScriptedEngine engine, String... args) {
        return typing(engine, "", args);
    }

    public JsonNode json() throws IOException {
        return new ObjectMapper().readTree(out);
    }
}
