package io.github.skim4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.skim4j.engine.Engine;
import io.github.skim4j.engine.EngineConfig;
import io.github.skim4j.engine.GenerationRequest;
import io.github.skim4j.engine.GenerationResult;
import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.chat.ChatMessage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Calibrates the bundled model. */
class CalibrateCommandTest {

    private static final String BUNDLED = DefaultModel.reference(CalibrateCommandTest.class.getClassLoader());

    @TempDir
    Path folder;

    private static CommandRun run(String... args) {
        return CommandRun.of(new ScriptedEngine(message -> message), args);
    }

    private Path text(int lines) throws IOException {
        return Files.writeString(
                folder.resolve("text.txt"),
                IntStream.range(0, lines)
                        .mapToObj(i -> "- Mass of sample " + i * 37 % 101 + ": " + i * 53 % 97 + " grams")
                        .collect(Collectors.joining("\n")));
    }

    @Test
    void aCalibratedModelDecodesWithLabelChannels() throws IOException {
        String model = folder.resolve("model.gguf").toString();
        assertThat(run("convert", BUNDLED, model).exit()).isZero();
        String text = text(60).toString();
        String[] eval = {
            "eval", "-m", model, "--text", text, "--context", "256", "--tail", "8", "-a", "double-sparsity:budget=64"
        };
        assertThat(run(eval).err()).contains("'skim calibrate'").doesNotContain("unexpected");
        CommandRun calibrate = run("calibrate", "--model", model, "--text", text, "--tokens", "300");
        assertThat(calibrate.exit()).as(calibrate.err()).isZero();
        assertThat(calibrate.err()).contains("model.gguf.label-channels.json");
        assertThat(run(eval).exit()).isZero();

        String facts = IntStream.range(0, 60)
                .mapToObj(i -> "The colour of door " + i + " is " + (i % 2 == 0 ? "red" : "blue") + ".")
                .collect(Collectors.joining("\n"));
        try (Engine engine =
                Engine.open(EngineConfig.builder(model).contextLength(2048).build())) {
            GenerationResult result = Generations.await(
                    engine,
                    GenerationRequest.chat(List.of(ChatMessage.user(facts + "\nWhat is the colour of door 7?")))
                            .attention(AttentionMethod.parse("double-sparsity:budget=192"))
                            .maxOutputTokens(8)
                            .build());
            assertThat(result.attention().density()).isLessThan(0.5);
        }
    }

    @Test
    void saysWhatIsMissing() throws IOException {
        String text = text(60).toString();
        assertThat(run("calibrate", "--text", text).err()).contains("--out");
        assertThat(run("calibrate", "--model", "x", "--text", text, "--tokens", "3")
                        .err())
                .contains("--tokens must be 256 or more");
        String out = folder.resolve("c.json").toString();
        CommandRun none = run("calibrate", "--text", folder.resolve("none").toString(), "--out", out);
        assertThat(none.exit()).isEqualTo(1);
        assertThat(none.err()).contains("none does not exist");
        CommandRun few = run("calibrate", "--text", text(3).toString(), "--out", out);
        assertThat(few.err()).contains("take a text of 256 or more");
    }
}
