package io.github.skim4j.engine.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class StreamDecoderPropertyTest {

    static Stream<Tokenizer> tokenizers() {
        return Stream.of(
                Tokenizers.of(GoldenVocabularies.byteLevelBpe("smollm")),
                Tokenizers.of(GoldenVocabularies.byteLevelBpe("llama-bpe")),
                Tokenizers.of(GoldenVocabularies.sentencePiece()));
    }

    @ParameterizedTest
    @MethodSource("tokenizers")
    void piecesMakeTheText(Tokenizer tokenizer) {
        try (tokenizer) {
            long seed = System.nanoTime();
            Random random = new Random(seed);
            for (int run = 0; run < 300; run++) {
                String text = RandomTexts.next(random, 1 + random.nextInt(40));
                int[] ids = tokenizer.encode(text);
                Tokenizer.StreamDecoder decoder = tokenizer.newStreamDecoder();
                StringBuilder whole = new StringBuilder();
                for (int id : ids) {
                    String piece = decoder.next(id);
                    assertThat(isWellFormed(piece))
                            .as("seed %d: '%s' in '%s'", seed, piece, text)
                            .isTrue();
                    whole.append(piece);
                }
                assertThat(decoder.finish())
                        .as("seed %d: end of '%s'", seed, text)
                        .isEmpty();
                assertThat(whole.toString()).as("seed %d", seed).isEqualTo(tokenizer.decode(ids));
                assertThat(count(whole, '\uFFFD'))
                        .as("seed %d: '%s'", seed, text)
                        .isEqualTo(count(text, '\uFFFD'));
            }
        }
    }

    @Test
    void textsComeBackFromByteLevelTokens() {
        long seed = System.nanoTime();
        Random random = new Random(seed);
        try (Tokenizer tokenizer = Tokenizers.of(GoldenVocabularies.byteLevelBpe("gpt-2"))) {
            for (int run = 0; run < 300; run++) {
                String text = RandomTexts.next(random, 1 + random.nextInt(40));
                String visible = text.replaceAll("<\\|(im_start|im_end|endoftext)\\|>", "");
                assertThat(tokenizer.decode(tokenizer.encode(text)))
                        .as("seed %d", seed)
                        .isEqualTo(visible);
            }
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"é", "港", "😀"})
    void anIncompleteCharacterEndsAsReplacement(String character) {
        byte[] utf8 = character.getBytes(StandardCharsets.UTF_8);
        try (Tokenizer tokenizer = Tokenizers.of(GoldenVocabularies.byteLevelBpe("gpt-2"));
                Tokenizer pieces = Tokenizers.of(GoldenVocabularies.sentencePiece())) {
            for (int length = 1; length < utf8.length; length++) {
                assertEndsAsReplacement(tokenizer, byteTokens(utf8, length));
                assertEndsAsReplacement(pieces, byteFallbackTokens(utf8, length));
            }
        }
    }

    private static void assertEndsAsReplacement(Tokenizer tokenizer, int[] ids) {
        Tokenizer.StreamDecoder decoder = tokenizer.newStreamDecoder();
        for (int id : ids) {
            assertThat(decoder.next(id)).isEmpty();
        }
        assertThat(decoder.finish()).isEqualTo("\uFFFD");
        assertThat(decoder.finish()).isEmpty();
    }

    private static int[] byteTokens(byte[] utf8, int length) {
        List<String> tokens = GoldenVocabularies.byteLevelBpe("gpt-2").tokens();
        int[] ids = new int[length];
        for (int i = 0; i < length; i++) {
            for (char c = '!'; c < 0x144; c++) {
                byte[] bytes = ByteLevel.decode(String.valueOf(c));
                if (bytes.length == 1 && bytes[0] == utf8[i]) {
                    ids[i] = tokens.indexOf(String.valueOf(c));
                }
            }
        }
        return ids;
    }

    private static int[] byteFallbackTokens(byte[] utf8, int length) {
        List<String> tokens = GoldenVocabularies.sentencePiece().tokens();
        int[] ids = new int[length];
        Arrays.setAll(ids, i -> tokens.indexOf(String.format("<0x%02X>", utf8[i])));
        return ids;
    }

    @Test
    void onlyTheFirstLeadingSpaceGoes() {
        try (Tokenizer tokenizer = Tokenizers.of(GoldenVocabularies.sentencePiece())) {
            int[] hello = tokenizer.encode("The the");
            Tokenizer.StreamDecoder decoder = tokenizer.newStreamDecoder();
            StringBuilder text = new StringBuilder();
            text.append(decoder.next(GoldenVocabularies.sentencePiece().tokens().indexOf("</s>")));
            for (int round = 0; round < 2; round++) {
                for (int id : hello) {
                    text.append(decoder.next(id));
                }
            }
            assertThat(text.toString()).isEqualTo("The the The the");
            assertThat(List.of(decoder.finish())).containsExactly("");
        }
    }

    private static boolean isWellFormed(String piece) {
        return Utf16.replaceUnpairedSurrogates(piece).equals(piece);
    }

    private static long count(CharSequence text, char c) {
        return text.chars().filter(other -> other == c).count();
    }
}
