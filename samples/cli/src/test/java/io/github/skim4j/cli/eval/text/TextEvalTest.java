package io.github.skim4j.cli.eval.text;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.skim4j.cli.CommandRun;
import io.github.skim4j.cli.ScriptedEngine;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Predicts with the bundled model. */
class TextEvalTest {

    @TempDir
    Path folder;

    private String text;

    @BeforeEach
    void writeText() throws IOException {
        text = Files.writeString(
                        folder.resolve("text.txt"),
                        IntStream.range(0, 60)
                                .mapToObj(i -> "- Mass of sample " + i * 37 % 101 + ": " + i * 53 % 97 + " grams")
                                .collect(Collectors.joining("\n")))
                .toString();
    }

    private CommandRun eval(String... more) {
        List<String> args = new ArrayList<>(List.of(
                "eval", "--device", "cpu", "--text", text, "--context", "200", "--tail", "4", "--json", "--attention"));
        args.add("quest:budget=64,dense-layers=0");
        args.addAll(List.of(more));
        return CommandRun.of(new ScriptedEngine(message -> message), args.toArray(String[]::new));
    }

    @Test
    void theCacheIsOfTheTypeAndPageSizeThatAreAskedFor() throws IOException {
        CommandRun small = eval("--page-size", "8", "--kv-type", "f32");
        assertThat(small.exit()).as(small.err()).isZero();
        assertThat(small.json().at("/results/0/density").doubleValue())
                .as("pages are read whole, so that it depends on their size")
                .isNotEqualTo(eval("--page-size", "32")
                        .json()
                        .at("/results/0/density")
                        .doubleValue());
        CommandRun wrong = eval("--page-size", "12");
        assertThat(wrong.exit()).isEqualTo(2);
        assertThat(wrong.err()).contains("page-size must be 8, 16, 32 or 64, but is 12");
        assertThat(eval("--kv-type", "fp8").err()).contains("no kv-cache.type FP8");
    }
}
