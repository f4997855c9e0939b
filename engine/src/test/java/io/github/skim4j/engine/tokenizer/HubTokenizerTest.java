package io.github.skim4j.engine.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import ai.djl.util.cuda.CudaUtils;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.skim4j.engine.model.ModelFile.TokenizerJson;
import io.github.skim4j.engine.model.ModelFile.TokenizerJsonText;
import io.github.skim4j.engine.model.ModelFormatException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

class HubTokenizerTest {

    private static final ObjectMapper JSON = new ObjectMapper();

    @TempDir
    Path folder;

    @Test
    void longTextsComeBackWholeWhateverTheFileSays() throws IOException {
        ObjectNode json = tokenizerJson();
        json.set(
                "truncation",
                JSON.readTree(
                        "{\"direction\": \"Right\", \"max_length\": 16, \"strategy\": \"LongestFirst\", \"stride\": 0}"));
        json.set(
                "padding",
                JSON.readTree(
                        "{\"strategy\": {\"Fixed\": 500000}, \"direction\": \"Right\", \"pad_to_multiple_of\": null,"
                                + " \"pad_id\": 0, \"pad_type_id\": 0, \"pad_token\": \"<|endoftext|>\"}"));
        try (Tokenizer tokenizer = open(json)) {
            String text = "The harbour master keeps a ledger. ".repeat(20_000);
            int[] ids = tokenizer.encode(text);
            assertThat(ids.length).isBetween(100_000, 499_999);
            assertThat(tokenizer.decode(ids)).isEqualTo(text);
        }
    }

    @Test
    void knowsItsTokens() throws IOException {
        try (Tokenizer tokenizer = open(tokenizerJson())) {
            assertThat(tokenizer.vocabSize()).isEqualTo(901);
            assertThat(tokenizer.encode("<|im_end|><tool_call>")).containsExactly(2, 900);
            assertThat(tokenizer.decode(new int[] {2, 900, 5000, -1})).isEqualTo("<tool_call>");
        }
    }

    @Test
    void readsATokenizerJsonFromMemory() throws IOException {
        String json = tokenizerJson().toString();
        try (Tokenizer tokenizer = Tokenizers.of(new TokenizerJsonText(Path.of("model.gguf"), json));
                Tokenizer fromFile = open(tokenizerJson())) {
            String text = "The harbour master's ledger";
            assertThat(tokenizer.encode(text)).isEqualTo(fromFile.encode(text));
        }
        assertThatThrownBy(() -> Tokenizers.of(new TokenizerJsonText(Path.of("model.gguf"), "{}")))
                .isInstanceOf(ModelFormatException.class)
                .hasMessageContaining("model.gguf");
    }

    @Test
    void unpairedSurrogatesSpoilNothingElse() throws IOException {
        try (Tokenizer tokenizer = open(tokenizerJson())) {
            String text = "a\uD83D b\uDE00 😀\uD83D";
            assertThat(tokenizer.decode(tokenizer.encode(text))).isEqualTo("a\uFFFD b\uFFFD 😀\uFFFD");
        }
    }

    @Test
    void closesOnceAndSaysSo() throws IOException {
        Tokenizer tokenizer = open(tokenizerJson());
        tokenizer.close();
        tokenizer.close();
        assertThatThrownBy(() -> tokenizer.encode("text"))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("closed");
    }

    @Test
    void closingWhileOthersEncodeIsSafe() throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(4);
        try {
            for (int round = 0; round < 20; round++) {
                Tokenizer tokenizer = open(tokenizerJson());
                int[] expected = tokenizer.encode("The bell rang twice that night.");
                List<Future<Integer>> runs = new ArrayList<>();
                for (int i = 0; i < 4; i++) {
                    runs.add(threads.submit(() -> {
                        for (int done = 0; ; done++) {
                            try {
                                assertThat(tokenizer.encode("The bell rang twice that night."))
                                        .isEqualTo(expected);
                            } catch (IllegalStateException e) {
                                return done;
                            }
                        }
                    }));
                }
                Thread.sleep(5);
                tokenizer.close();
                for (Future<Integer> run : runs) {
                    assertThat(run.get()).isNotNegative();
                }
            }
        } catch (ExecutionException e) {
            throw (Exception) e.getCause();
        } finally {
            threads.shutdownNow();
        }
    }

    @Test
    void damagedFilesAreNamed() throws IOException {
        assertRefused("no json", "no valid JSON");
        assertRefused("[]", "no JSON object");
        assertRefused("{\"model\": {}}", "model.vocab");
        assertRefused("{\"model\": {\"vocab\": {\"a\": 0}}}", "no decoder");
        String decoder = "\"decoder\": {\"type\": \"ByteLevel\"}";
        assertRefused("{\"model\": {\"vocab\": {\"a\": -5}}, " + decoder + "}", "-5");
        assertRefused("{\"model\": {\"vocab\": {\"a\": 2147483647}}, " + decoder + "}", "2147483647");
        assertRefused("{\"model\": {\"vocab\": {\"a\": 0}}, \"decoder\": {\"type\": \"CTC\"}}", "CTC");
        assertRefused(
                "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}}, \"decoder\": {\"type\": \"ByteLevel\"}}",
                "no usable tokenizer");
        Path missing = folder.resolve("missing.json");
        assertThatThrownBy(() -> Tokenizers.of(new TokenizerJson(missing)))
                .isInstanceOf(ModelFormatException.class)
                .hasMessageContaining(missing.toString());
    }

    @Test
    void leavesDjlsSettingAsItWas() throws IOException {
        open(tokenizerJson()).close();
        assertThat(System.getProperty("RUST_FLAVOR")).isNull();
    }

    @Test
    @EnabledOnOs(OS.LINUX)
    void knowsWhereDjlUnpacksTheLibrary() throws IOException {
        assumeFalse(CudaUtils.hasCuda(), "DJL takes another folder where it sees a GPU");
        open(tokenizerJson()).close();
        Path unpacked = NativeLibrary.unpacked();
        assertThat(unpacked == null || Files.exists(unpacked))
                .as("%s", unpacked)
                .isTrue();
    }

    private void assertRefused(String json, String reason) throws IOException {
        Path file = Files.writeString(folder.resolve("tokenizer.json"), json);
        assertThatThrownBy(() -> Tokenizers.of(new TokenizerJson(file)))
                .isInstanceOf(ModelFormatException.class)
                .hasMessageContainingAll(file.toString(), reason);
    }

    private static ObjectNode tokenizerJson() throws IOException {
        return (ObjectNode) JSON.readTree(
                GgufConverter.of(GoldenVocabularies.byteLevelBpe("smollm")).toTokenizerJson());
    }

    private Tokenizer open(ObjectNode json) throws IOException {
        Path file = Files.writeString(folder.resolve("tokenizer.json"), json.toString());
        return Tokenizers.of(new TokenizerJson(file));
    }
}
