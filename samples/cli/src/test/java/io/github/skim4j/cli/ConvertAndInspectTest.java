package io.github.skim4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Converts the bundled model and inspects the result. */
class ConvertAndInspectTest {

    private static final String BUNDLED = DefaultModel.reference(ConvertAndInspectTest.class.getClassLoader());

    @TempDir
    Path folder;

    private static CommandRun run(String... args) {
        return CommandRun.of(new ScriptedEngine(message -> message), args);
    }

    @Test
    void jsonHasEveryFieldAndConversionKeepsTheModel() throws IOException {
        String file = folder.resolve("out.gguf").toString();
        CommandRun convert = run("convert", BUNDLED, file, "--weights", "q4_0");
        assertThat(convert.exit()).as(convert.err()).isZero();
        assertThat(convert.err()).contains(file, "bytes");

        JsonNode before = run("inspect", BUNDLED, "--json").json();
        JsonNode after =
                run("inspect", file, "--json", "--context", "100", "1000").json();
        assertThat(after.fieldNames())
                .toIterable()
                .containsExactly(
                        "model",
                        "source",
                        "parameters",
                        "config",
                        "tensors",
                        "tokenizer",
                        "chat_template",
                        "generation",
                        "memory");
        assertThat(after.path("model").textValue()).isEqualTo("out.gguf");
        assertThat(after.path("source").textValue()).isEqualTo(file);
        for (String kept : new String[] {"parameters", "config", "chat_template", "generation"}) {
            assertThat(after.path(kept)).as(kept).isEqualTo(before.path(kept));
        }
        assertThat(after.path("config")
                        .path("rope")
                        .path("scaling")
                        .path("type")
                        .textValue())
                .isEqualTo("None");
        assertThat(after.path("tensors").findValuesAsText("type")).contains("F32", "Q4_0", "Q8_0");
        assertThat(after.path("tensors")).allSatisfy(group -> {
            assertThat(group.path("count").intValue()).isPositive();
            assertThat(group.path("bytes").longValue()).isPositive();
            assertThat(group.path("loaded_as").fieldNames()).toIterable().containsExactly("cpu", "cuda");
            assertThat(group.path("loaded_as"))
                    .allSatisfy(types -> assertThat(types).containsExactly(group.path("type")));
        });
        assertThat(after.path("tokenizer").fieldNames())
                .toIterable()
                .containsExactly("kind", "bos", "eos", "unk", "pad", "add_bos");
        JsonNode memory = after.path("memory");
        long perToken = memory.path("kv_bytes_per_token").longValue();
        long weights = memory.path("weights_bytes").longValue();
        assertThat(memory.path("kv_type").textValue()).isEqualTo("BF16");
        assertThat(weights).isBetween(1L, Files.size(Path.of(file)));
        assertThat(memory.path("contexts")).hasSize(2);
        assertThat(memory.path("contexts").path(1).path("context").intValue()).isEqualTo(1000);
        assertThat(memory.path("contexts").path(1).path("kv_bytes").longValue()).isEqualTo(1000 * perToken);
        assertThat(memory.path("contexts").path(1).path("total_bytes").longValue())
                .isEqualTo(1000 * perToken + weights);
    }

    @Test
    void textNamesWhatMatters() {
        CommandRun inspect = run("inspect", BUNDLED, "--context", "2048");
        assertThat(inspect.exit()).as(inspect.err()).isZero();
        assertThat(inspect.out())
                .contains(
                        "architecture",
                        "parameters",
                        "query heads",
                        "RoPE",
                        "tokenizer",
                        "chat template",
                        "on cpu",
                        "on cuda")
                .containsPattern("2048 +[\\d.]+ MiB +[\\d.]+ MiB");
    }

    @Test
    void doesNotOverwriteUnasked() throws IOException {
        Path file = Files.writeString(folder.resolve("out.gguf"), "mine");
        CommandRun refused = run("convert", BUNDLED, file.toString());
        assertThat(refused.exit()).isEqualTo(1);
        assertThat(refused.err()).contains("--force");
        assertThat(file).hasContent("mine");
        assertThat(run("convert", BUNDLED, file.toString(), "--force").exit()).isZero();
        assertThat(run("inspect", file.toString()).exit()).isZero();
        CommandRun itself = run("convert", file.toString(), file.toString(), "--force");
        assertThat(itself.exit()).isEqualTo(1);
        assertThat(itself.err()).contains("is the model itself");
    }

    @Test
    void missingModelsAreNamed() {
        CommandRun run = run("inspect", "no-such-model");
        assertThat(run.exit()).isEqualTo(1);
        assertThat(run.err().lines())
                .singleElement()
                .asString()
                .startsWith("skim: ")
                .contains("no-such-model");
    }
}
