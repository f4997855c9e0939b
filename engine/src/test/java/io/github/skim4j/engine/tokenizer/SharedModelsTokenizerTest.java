package io.github.skim4j.engine.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.skim4j.engine.model.ModelFile;
import io.github.skim4j.engine.model.ModelFile.TokenizerJson;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The tokenizers of whole models, which are too large for the repository: skipped where they are absent. */
class SharedModelsTokenizerTest {

    private static final String SMOLLM2 = "models/smollm2-135m-instruct/";

    @Test
    void smolLm2sGgufGivesTheTokensOfItsTokenizerJson() throws IOException {
        Path json = shared(SMOLLM2 + "tokenizer.json");
        Path gguf = cached("smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf");
        long seed = System.nanoTime();
        Random random = new Random(seed);
        try (ModelFile model = ModelFile.open(gguf);
                Tokenizer tokenizer = Tokenizers.of(model.tokenizer());
                Tokenizer expected = Tokenizers.of(new TokenizerJson(json))) {
            assertThat(tokenizer.vocabSize()).isEqualTo(expected.vocabSize());
            for (int run = 0; run < 300; run++) {
                String text = RandomTexts.next(random, 1 + random.nextInt(60));
                int[] ids = tokenizer.encode(text);
                assertThat(ids).as("seed %d: '%s'", seed, text).isEqualTo(expected.encode(text));
                assertThat(tokenizer.decode(ids)).isEqualTo(expected.decode(ids));
            }
            String digitOfUnicode17 = "The end.\n\n" + Character.toString(0x16FF5);
            assertThat(tokenizer.encode(digitOfUnicode17)).isEqualTo(expected.encode(digitOfUnicode17));
            for (String line : Files.readAllLines(shared(SMOLLM2 + "goldens.jsonl"))) {
                JsonNode golden = new ObjectMapper().readTree(line);
                assertThat(tokenizer.encode(golden.path("prompt").asText()))
                        .isEqualTo(GoldenVocabularies.ints(golden.path("prompt_ids")));
            }
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {SMOLLM2 + "tokenizer.json", "demo-model/tokenizer.json"})
    void partsGiveTheTokensOfTheWholeAndTheLibraryDecodesThemAlike(String file) throws IOException {
        Path json = shared(file);
        long seed = System.nanoTime();
        Random random = new Random(seed);
        try (Tokenizer tokenizer = Tokenizers.of(new TokenizerJson(json));
                HuggingFaceTokenizer library = HuggingFaceTokenizer.newInstance(
                        json, Map.of("truncation", "false", "padding", "false", "modelMaxLength", "1000000"))) {
            PromptEncoder encoder = new PromptEncoder(tokenizer, (part, encode) -> encode.apply(part));
            for (int run = 0; run < 500; run++) {
                String text = RandomTexts.next(random, 1 + random.nextInt(60));
                int[] ids = tokenizer.encode(text);
                assertThat(encoder.encode(text)).as("seed %d: '%s'", seed, text).isEqualTo(ids);
                long[] longs = Arrays.stream(ids).asLongStream().toArray();
                assertThat(tokenizer.decode(ids)).as("seed %d", seed).isEqualTo(library.decode(longs, true));
            }
        }
    }

    private static Path shared(String name) {
        String folder = System.getProperty("skim.shared");
        return present((folder != null ? Path.of(folder) : Path.of("..", "..", "shared")).resolve(name));
    }

    private static Path cached(String name) {
        String folder = System.getenv("SKIM_MODELS");
        return present(
                (folder != null ? Path.of(folder) : Path.of(System.getProperty("user.home"), ".cache", "skim-models"))
                        .resolve(name));
    }

    private static Path present(Path file) {
        assumeTrue(Files.exists(file), () -> file + " is absent; -Dskim.shared=FOLDER tells where to look");
        return file;
    }
}
