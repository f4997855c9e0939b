package io.github.skim4j.engine.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.skim4j.engine.model.ModelFile.TokenizerSource;
import java.util.HashMap;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class PromptEncoderTest {

    private static final String CHUNK_A = "The grey schooner left on Monday.\nIts captain paid.";
    private static final String CHUNK_B = "- Nobody knows why\n- the bell rang twice";

    @ParameterizedTest
    @ValueSource(
            strings = {"gpt-2", "smollm", "llama-bpe", "qwen2", "tekken", "default", "deepseek-v3", "sentencepiece"})
    void partsGiveTheTokensOfTheWhole(String kind) {
        long seed = System.nanoTime();
        Random random = new Random(seed);
        int parts = 0;
        try (Tokenizer tokenizer = Tokenizers.of(source(kind))) {
            for (int run = 0; run < 1_000; run++) {
                String text = RandomTexts.next(random, 1 + random.nextInt(60));
                parts += tokenizer.split(text).size() - 1;
                assertThat(String.join("", tokenizer.split(text))).isEqualTo(text);
                int[] expected = tokenizer.encode(text);
                int[] ids = new PromptEncoder(tokenizer, (part, encode) -> encode.apply(part)).encode(text);
                assertThat(ids).as("%s, seed %d, text '%s'", kind, seed, text).isEqualTo(expected);
            }
        }
        assertThat(parts).isPositive();
    }

    @ParameterizedTest
    @ValueSource(strings = {"gpt-2", "smollm", "llama-bpe", "qwen2", "tekken"})
    void chunksThatComeAgainAreFound(String kind) {
        Map<String, int[]> cache = new HashMap<>();
        int[] misses = {0};
        TokenCache counting = (text, encode) -> cache.computeIfAbsent(text, key -> {
            misses[0]++;
            return encode.apply(key);
        });
        try (Tokenizer tokenizer = Tokenizers.of(source(kind))) {
            PromptEncoder encoder = new PromptEncoder(tokenizer, counting);
            encoder.encode(prompt(CHUNK_A, CHUNK_B, "Why?"));
            misses[0] = 0;
            String swapped = prompt(CHUNK_B, CHUNK_A, "Who?");
            assertThat(encoder.encode(swapped)).isEqualTo(tokenizer.encode(swapped));
            assertThat(misses[0]).as("only the new question").isEqualTo(1);
        }
    }

    @Test
    void withoutACacheTheTextIsEncodedWhole() {
        try (Tokenizer tokenizer = Tokenizers.of(source("smollm"))) {
            String text = prompt(CHUNK_A, CHUNK_B, "Why?");
            assertThat(new PromptEncoder(tokenizer, TokenCache.NONE).encode(text))
                    .isEqualTo(tokenizer.encode(text));
        }
    }

    private static String prompt(String first, String second, String question) {
        return "<|im_start|>system\nAnswer.<|im_end|>\n<|im_start|>user\nText:\n\n" + first + "\n\n" + second
                + "\n\nQuestion: " + question + "<|im_end|>\n<|im_start|>assistant\n";
    }

    private static TokenizerSource source(String kind) {
        return kind.equals("sentencepiece")
                ? GoldenVocabularies.sentencePiece()
                : GoldenVocabularies.byteLevelBpe(kind);
    }
}
