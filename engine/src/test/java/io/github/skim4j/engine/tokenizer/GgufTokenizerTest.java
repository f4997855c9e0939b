package io.github.skim4j.engine.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.skim4j.engine.model.ModelFile.GgufVocabulary;
import io.github.skim4j.engine.model.ModelFormatException;
import io.github.skim4j.engine.tokenizer.GoldenVocabularies.Golden;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class GgufTokenizerTest {

    @Test
    void sentencePieceAgreesWithTheOriginal() {
        try (Tokenizer tokenizer = Tokenizers.of(GoldenVocabularies.sentencePiece())) {
            for (Golden golden : GoldenVocabularies.goldens(GoldenVocabularies.SENTENCE_PIECE.path("cases"))) {
                assertThat(tokenizer.encode(golden.text())).as(golden.text()).isEqualTo(golden.ids());
                assertThat(tokenizer.decode(golden.ids())).isEqualTo(golden.decoded());
            }
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"gpt-2", "smollm", "llama-bpe", "qwen2", "tekken"})
    void byteLevelBpeAgreesWithTheOriginal(String pre) {
        try (Tokenizer tokenizer = Tokenizers.of(GoldenVocabularies.byteLevelBpe(pre))) {
            for (Golden golden : GoldenVocabularies.goldens(
                    GoldenVocabularies.BYTE_LEVEL_BPE.path("cases").path(pre))) {
                assertThat(tokenizer.encode(golden.text())).as(golden.text()).isEqualTo(golden.ids());
                assertThat(tokenizer.decode(golden.ids())).isEqualTo(golden.decoded());
            }
        }
    }

    @Test
    void everyKnownPreTokenizerLoads() {
        for (String pre : GgufPreTokenizer.BY_NAME.keySet()) {
            try (Tokenizer tokenizer = Tokenizers.of(GoldenVocabularies.byteLevelBpe(pre))) {
                String text = "It's 12345 größere ships;\n\n\tthe end. 港口";
                assertThat(tokenizer.decode(tokenizer.encode(text))).as(pre).isEqualTo(text);
            }
        }
    }

    @Test
    void namesTheKnownPreTokenizersForAnUnknownOne() {
        assertThatThrownBy(() -> Tokenizers.of(GoldenVocabularies.byteLevelBpe("no-such")))
                .isInstanceOf(ModelFormatException.class)
                .hasMessageContainingAll("small.gguf", "tokenizer.ggml.pre", "no-such", "llama-bpe", "qwen2");
    }

    @Test
    void refusesDamagedVocabularies() {
        GgufVocabulary whole = GoldenVocabularies.byteLevelBpe("gpt-2");
        assertThatThrownBy(() -> Tokenizers.of(with(whole, "bert", whole.tokens(), whole.types(), whole.merges())))
                .hasMessageContainingAll("small.gguf", "tokenizer.ggml.model", "bert", "gpt2", "llama");
        assertThatThrownBy(() -> Tokenizers.of(with(whole, "gpt2", whole.tokens(), new int[3], whole.merges())))
                .hasMessageContainingAll("tokenizer.ggml.token_type", "3", "901");
        assertThatThrownBy(() -> Tokenizers.of(with(whole, "gpt2", List.of(), new int[0], List.of())))
                .hasMessageContainingAll("tokenizer.ggml.tokens", "empty");
        assertThatThrownBy(() -> Tokenizers.of(with(whole, "gpt2", whole.tokens(), whole.types(), List.of("ab"))))
                .hasMessageContainingAll("tokenizer.ggml.merges", "'ab'");
        assertThatThrownBy(() -> Tokenizers.of(with(whole, "gpt2", whole.tokens(), whole.types(), List.of("a nosuch"))))
                .isInstanceOf(ModelFormatException.class)
                .hasMessageContaining("small.gguf");
        assertThatThrownBy(() -> Tokenizers.of(with(whole, "llama", whole.tokens(), whole.types(), List.of())))
                .hasMessageContainingAll("tokenizer.ggml.scores", "0", "901");
    }

    @Test
    void mergesThatAreNoTwoWordsAreWrittenAsPairs() {
        GgufVocabulary whole = GoldenVocabularies.byteLevelBpe("gpt-2");
        List<String> tokens = List.of("#version", "s", "#versions", " ", " s");
        for (String merge : List.of("#version s", "  s")) {
            GgufVocabulary odd = with(whole, "gpt2", tokens, new int[] {1, 1, 1, 1, 1}, List.of(merge));
            assertThat(GgufConverter.of(odd).toTokenizerJson()).contains("\",\"s\"]");
            try (Tokenizer tokenizer = Tokenizers.of(odd)) {
                assertThat(tokenizer.encode("s")).containsExactly(1);
            }
        }
    }

    private static GgufVocabulary with(
            GgufVocabulary whole, String model, List<String> tokens, int[] types, List<String> merges) {
        return new GgufVocabulary(
                whole.file(), model, whole.pre(), tokens, whole.scores(), types, merges, whole.addSpacePrefix());
    }
}
