package io.github.skim4j.engine.tokenizer;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.skim4j.engine.model.ModelFile.GgufVocabulary;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Two small vocabularies trained on a few sentences in a dozen scripts, with what SentencePiece and the Hugging Face tokenizers
 * library for Python make of tricky texts.
 */
final class GoldenVocabularies {

    static final JsonNode SENTENCE_PIECE = read("sentencepiece.json");
    static final JsonNode BYTE_LEVEL_BPE = read("byte-level-bpe.json");

    /** What {@code text} is as tokens, and those as text again. */
    record Golden(String text, int[] ids, String decoded) {}

    private GoldenVocabularies() {}

    private static JsonNode read(String name) {
        try (InputStream in = GoldenVocabularies.class.getResourceAsStream("/tokenizer/" + name)) {
            return new ObjectMapper().readTree(in);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static GgufVocabulary sentencePiece() {
        JsonNode scores = SENTENCE_PIECE.path("scores");
        float[] values = new float[scores.size()];
        for (int i = 0; i < values.length; i++) {
            values[i] = scores.get(i).floatValue();
        }
        return new GgufVocabulary(
                Path.of("small.gguf"),
                "llama",
                null,
                texts(SENTENCE_PIECE.path("tokens")),
                values,
                ints(SENTENCE_PIECE.path("types")),
                List.of(),
                true);
    }

    static GgufVocabulary byteLevelBpe(String pre) {
        return new GgufVocabulary(
                Path.of("small.gguf"),
                "gpt2",
                pre,
                texts(BYTE_LEVEL_BPE.path("tokens")),
                new float[0],
                ints(BYTE_LEVEL_BPE.path("types")),
                texts(BYTE_LEVEL_BPE.path("merges")),
                false);
    }

    static List<Golden> goldens(JsonNode cases) {
        List<Golden> goldens = new ArrayList<>();
        for (JsonNode node : cases) {
            goldens.add(new Golden(
                    node.path("text").asText(),
                    ints(node.path("ids")),
                    node.path("decoded").asText()));
        }
        return goldens;
    }

    static int[] ints(JsonNode array) {
        int[] values = new int[array.size()];
        for (int i = 0; i < values.length; i++) {
            values[i] = array.get(i).intValue();
        }
        return values;
    }

    private static List<String> texts(JsonNode array) {
        List<String> values = new ArrayList<>();
        array.forEach(node -> values.add(node.asText()));
        return values;
    }
}
