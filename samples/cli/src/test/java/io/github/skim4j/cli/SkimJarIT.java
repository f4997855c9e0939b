package io.github.skim4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.jar.Attributes;
import java.util.jar.JarFile;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The packaged program as a user starts it, on the demo model. */
class SkimJarIT {

    private static final Path JAR = Path.of(System.getProperty("skim.jar"));
    private static final String DOCUMENT = "example/projects.txt";
    private static final String CASES = "example/cases.jsonl";

    private record Result(int exit, String out, String err) {}

    private Process start(Map<String, String> environment, String... args) throws IOException {
        List<String> command = new ArrayList<>(
                List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString(), "-jar", JAR.toString()));
        command.addAll(List.of(args));
        ProcessBuilder builder = new ProcessBuilder(command);
        builder.environment().putAll(environment);
        return builder.start();
    }

    private Result run(Map<String, String> environment, String input, String... args) throws Exception {
        Process process = start(environment, args);
        try (OutputStream in = process.getOutputStream()) {
            in.write(input.getBytes(StandardCharsets.UTF_8));
        }
        String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        String err = new String(process.getErrorStream().readAllBytes(), StandardCharsets.UTF_8);
        return new Result(process.waitFor(), out, err);
    }

    private Result run(String... args) throws Exception {
        return run(Map.of(), "", args);
    }

    @Test
    void isTheOnlyExecutableJar() throws IOException {
        try (Stream<Path> files = Files.list(JAR.getParent())) {
            List<Path> executable = new ArrayList<>();
            for (Path file :
                    files.filter(path -> path.toString().endsWith(".jar")).toList()) {
                try (JarFile jar = new JarFile(file.toFile())) {
                    if (jar.getManifest().getMainAttributes().containsKey(Attributes.Name.MAIN_CLASS)) {
                        executable.add(file);
                    }
                }
            }
            assertThat(executable).containsExactly(JAR);
        }
    }

    @Test
    void runsWithTheVectorApiUnlessTold() throws Exception {
        Result version = run("--version");
        assertThat(version.exit()).isZero();
        assertThat(version.out()).matches("(?s)skim \\d.*Vector API on\\R");
        assertThat(version.err()).isEmpty();
        assertThat(run(Map.of("SKIM_NO_RELAUNCH", "1"), "", "--version").out()).contains("Vector API off");
    }

    @Test
    void passesExitCodesThrough() throws Exception {
        Result usage = run("ask");
        assertThat(usage.exit()).isEqualTo(2);
        assertThat(usage.err()).startsWith("skim: ");
        Result failure = run("inspect", "no-such-model");
        assertThat(failure.exit()).isEqualTo(1);
        assertThat(failure.err()).startsWith("skim: ").contains("no-such-model");
    }

    @Test
    void answersFromTheDocuments() throws Exception {
        Result text = run("ask", "--document", DOCUMENT, "--question", "Who leads Project Heron?");
        assertThat(text.exit()).as(text.err()).isZero();
        assertThat(text.out()).contains("Ines Steele").hasLineCount(1);
        assertThat(text.err().lines()).singleElement().asString().contains("density 100.0 %", "stop");

        Result json = run(
                "ask",
                "--document",
                DOCUMENT,
                "--question",
                "Who leads Project Kestrel?",
                "--device",
                "cpu",
                "--attention",
                "streaming-llm:budget=4096",
                "--max-tokens",
                "32",
                "--seed",
                "1",
                "--json");
        assertThat(json.exit()).as(json.err()).isZero();
        assertThat(json.err()).isEmpty();
        JsonNode answer = new ObjectMapper().readTree(json.out());
        assertThat(answer.path("answer").textValue()).contains("Mattias Ullman");
        assertThat(answer.path("finish_reason").textValue()).isEqualTo("stop");
        assertThat(answer.path("prompt_tokens").intValue()).isGreaterThan(30);
        assertThat(answer.path("total_seconds").doubleValue()).isPositive();
    }

    @Test
    void chatsOverAPipe() throws Exception {
        String document = Files.readString(Path.of(DOCUMENT)).replace("\n", " ");
        Result chat = run(Map.of(), document + "Who leads Project Heron?\n/exit\n", "chat");
        assertThat(chat.exit()).as(chat.err()).isZero();
        assertThat(chat.out()).contains("Ines Steele");
        assertThat(chat.err()).isEmpty();
    }

    @Test
    void evaluatesTheExample() throws Exception {
        Result eval = run(
                "eval",
                "--cases",
                CASES,
                "--attention",
                "dense",
                "--attention",
                "streaming-llm:budget=64",
                "--protocol",
                "question",
                "--json");
        assertThat(eval.exit()).as(eval.err()).isZero();
        assertThat(eval.err()).isEmpty();
        JsonNode results = new ObjectMapper().readTree(eval.out()).path("results");
        assertThat(results.at("/0/accuracy").doubleValue()).isEqualTo(1);
        assertThat(results.at("/0/by_context/1K/accuracy").doubleValue()).isEqualTo(1);
        assertThat(results.at("/0/density").doubleValue()).isEqualTo(1);
        assertThat(results.at("/1/density").doubleValue()).isLessThan(0.9);
    }

    @Test
    void resultsBecomeAPageWithPlots(@TempDir Path folder) throws Exception {
        String out = folder.resolve("out").toString();
        Result eval =
                run("eval", "--cases", CASES, "--limit", "1", "--attention", "streaming-llm:budget=64", "--out", out);
        assertThat(eval.exit()).as(eval.err()).isZero();
        assertThat(Files.readString(Path.of(out, "report.html"))).contains("<svg");
    }

    @Test
    void aTextIsPredictedWithEachMethod() throws Exception {
        Result eval = run(
                "eval",
                "--text",
                CASES,
                "--context",
                "300",
                "--tail",
                "20",
                "--attention",
                "streaming-llm:budget=64",
                "h2o:budget=64",
                "--json");
        assertThat(eval.exit()).as(eval.err()).isZero();
        JsonNode report = new ObjectMapper().readTree(eval.out());
        assertThat(report.path("dense_loss").doubleValue()).isPositive();
        assertThat(report.path("results")).hasSize(2).allSatisfy(method -> {
            assertThat(method.path("density").doubleValue()).isLessThan(0.5);
            assertThat(method.path("above_dense").doubleValue())
                    .isEqualTo(method.path("loss").doubleValue()
                            - report.path("dense_loss").doubleValue());
        });
    }

    @Test
    void aKilledLauncherLeavesNothingBehind() throws Exception {
        Process launcher = start(Map.of(), "chat");
        try (OutputStream in = launcher.getOutputStream()) {
            in.write("Who are you?\n".getBytes(StandardCharsets.UTF_8));
            in.flush();
            // The answer shows that the second process is up and now waits for more.
            assertThat(launcher.getInputStream().read()).isPositive();
            List<ProcessHandle> children = launcher.descendants().toList();
            assertThat(children).hasSize(1);
            launcher.destroyForcibly();
            children.get(0).onExit().get(30, TimeUnit.SECONDS);
        } finally {
            launcher.destroyForcibly();
        }
    }
}
