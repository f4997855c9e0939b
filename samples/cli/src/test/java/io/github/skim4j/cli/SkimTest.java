package io.github.skim4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SkimTest {

    private static final List<String> COMMANDS = List.of("ask", "chat", "inspect", "convert", "eval", "bench");

    private static CommandRun run(String line) {
        return CommandRun.of(new ScriptedEngine(message -> "yes"), line.isEmpty() ? new String[0] : line.split(" "));
    }

    @Test
    void helpListsTheCommands() {
        CommandRun help = run("--help");
        assertThat(help.exit()).isZero();
        assertThat(help.err()).isEmpty();
        assertThat(help.out()).contains(COMMANDS).contains("Exit codes: 0 success, 1 failure, 2 wrong usage.");
        for (String command : COMMANDS) {
            CommandRun own = run(command + " --help");
            assertThat(own.exit()).isZero();
            assertThat(own.out()).contains("Usage: skim " + command, "--verbose", "--version");
            assertThat(run("help " + command).out()).isEqualTo(own.out());
        }
    }

    @Test
    void helpNamesTheOptionsOfTheContract() {
        assertThat(run("ask --help").out())
                .contains(
                        "--document",
                        "--question",
                        "--model",
                        "--attention",
                        "--device",
                        "--max-tokens",
                        "--seed",
                        "--json",
                        "12.5%");
        assertThat(run("eval --help").out())
                .contains(
                        "--cases",
                        "--tasks",
                        "--text",
                        "--attention",
                        "--budgets",
                        "--protocol",
                        "--limit",
                        "--out",
                        "--json",
                        "question_tokens");
        assertThat(run("bench --help").out())
                .contains(
                        "--attention", "--depth", "--tokens", "--threads", "--json", "--shape", "--weights", "--runs");
    }

    @Test
    void versionNamesProgramAndJava() {
        CommandRun version = run("--version");
        assertThat(version.exit()).isZero();
        assertThat(version.out()).contains("skim ", "Java " + Runtime.version());
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "nonsense",
                "ask",
                "ask --document a.txt",
                "ask --question Who?",
                "ask --document a.txt --question Who? --max-tokens many",
                "ask --document a.txt --question Who? --weights q3",
                "ask --document a.txt --question Who? --attention sparse",
                "ask --document a.txt --question Who? --attention streaming-llm",
                "ask --document a.txt --question Who? --attention streaming-llm:budget=-1",
                "ask --document a.txt --question Who? --attention streaming-llm:budget=64,sink=4",
                "chat --nonsense",
                "inspect",
                "convert a",
                "convert a b",
                "inspect m --context 0",
                "eval",
                "eval --cases c.jsonl --protocol answer",
                "eval --cases c.jsonl --limit 0",
                "eval --cases c.jsonl --attention quest",
                "eval --cases c.jsonl --attention quest --budgets some",
                "eval --cases c.jsonl --probe 2",
                "eval --cases c.jsonl --text t.txt",
                "eval --tasks nonsense",
                "eval --tasks vt --context 0",
                "eval --tasks vt --samples 0",
                "eval --text t.txt --context 64 --tail 63",
                "eval --text t.txt --context 64,128 --tail 8",
                "bench",
                "bench --depth 0",
                "bench --depth 8 --tokens 0",
                "bench --depth 8 --runs 0",
                "bench --depth 8 --warm-up -1",
                "bench --depth 8 --shape llama-2-7b --model m",
            })
    void wrongUsageIsToldInShort(String line) {
        CommandRun wrong = run(line);
        assertThat(wrong.exit()).isEqualTo(2);
        assertThat(wrong.out()).isEmpty();
        assertThat(wrong.err()).startsWith("skim: ").doesNotContain("\tat ", "Exception", "io.github");
        assertThat(wrong.err().lines()).hasSize(2);
    }

    @Test
    void wrongAttentionListsTheMethods() {
        assertThat(run("ask --document a.txt --question Who? --attention sparse")
                        .err())
                .contains("'--attention'", "no attention method is called 'sparse'", "streaming-llm");
    }
}
