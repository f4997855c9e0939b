package io.github.skim4j.engine.model;

import io.github.skim4j.engine.model.ModelFile.GgufVocabulary;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The vocabulary of a {@code tokenizer.json} with a BPE model in ggml's terms. */
final class HuggingFaceVocabulary {

    private static final long MAX_FILE = 64L << 20;

    private static final int NORMAL = 1;
    private static final int UNKNOWN = 2;
    private static final int CONTROL = 3;
    private static final int USER_DEFINED = 4;
    private static final int UNUSED = 5;
    private static final int BYTE = 6;

    /** How the splitting patterns of well-known tokenizers begin, and llama.cpp's names for them. */
    private static final Map<String, String> PATTERNS = Map.of(
            "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}", "llama-bpe",
            "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|", "qwen2");

    private HuggingFaceVocabulary() {}

    static String read(Path file) throws IOException {
        if (Files.size(file) > MAX_FILE) {
            throw new ModelFormatException(file + ": is larger than " + MAX_FILE + " bytes");
        }
        return Files.readString(file);
    }

    /** @param size tokens that the embedding has; ids without a token become unused ones */
    static GgufVocabulary parse(Path path, String json, int size) {
        String file = path.resolve(HuggingFaceLoader.TOKENIZER).toString();
        Fields root = Json.parse(file, json.getBytes(StandardCharsets.UTF_8));
        Fields model = root.object("model");
        if (model == null || model.object("vocab") == null || !"BPE".equals(model.string("type"))) {
            throw root.error("model", "must be a BPE model to be written as GGUF");
        }
        Fields vocab = model.object("vocab");
        List<String> merges = merges(model);
        boolean sentencePiece = model.flag("byte_fallback", false);
        String[] tokens = new String[size];
        int[] types = new int[size];
        Arrays.fill(types, UNUSED);
        for (String token : vocab.values().keySet()) {
            int id = vocab.integer(token, 0, size - 1);
            tokens[id] = token;
            types[id] = sentencePiece && token.matches("<0x[0-9A-F]{2}>") ? BYTE : NORMAL;
        }
        for (Fields added : root.objects("added_tokens")) {
            int id = added.integer("id", 0, size - 1);
            tokens[id] = added.string("content");
            boolean unknown = sentencePiece && tokens[id].equals(model.string("unk_token"));
            types[id] = unknown ? UNKNOWN : added.flag("special", false) ? CONTROL : USER_DEFINED;
        }
        for (int id = 0; id < size; id++) {
            if (tokens[id] == null) {
                tokens[id] = "[PAD" + id + "]";
            }
        }
        return new GgufVocabulary(
                path,
                sentencePiece ? "llama" : "gpt2",
                sentencePiece ? "default" : preTokenizer(root),
                List.of(tokens),
                sentencePiece ? scores(tokens, types, merges) : new float[0],
                types,
                sentencePiece ? List.of() : merges,
                sentencePiece && addsSpace(root));
    }

    /** Pairs are strings with a space or, in newer files, lists of two. */
    private static List<String> merges(Fields model) {
        if (!(model.raw("merges") instanceof List<?> merges)) {
            throw model.error("merges", "must be a list");
        }
        return merges.stream()
                .map(merge -> {
                    if (merge instanceof String pair) {
                        return pair;
                    }
                    if (merge instanceof List<?> pair
                            && pair.size() == 2
                            && pair.get(0) instanceof String left
                            && pair.get(1) instanceof String right) {
                        return left + " " + right;
                    }
                    throw model.error("merges", "must be pairs of strings");
                })
                .toList();
    }

    /** SentencePiece merges the pair of the highest score first, so a token scores the lower, the later its merge. */
    private static float[] scores(String[] tokens, int[] types, List<String> merges) {
        Map<String, Integer> ranks = new HashMap<>();
        for (int rank = 0; rank < merges.size(); rank++) {
            ranks.putIfAbsent(merges.get(rank).replace(" ", ""), rank);
        }
        float[] scores = new float[tokens.length];
        for (int id = 0; id < scores.length; id++) {
            if (types[id] == NORMAL) {
                scores[id] = -ranks.getOrDefault(tokens[id], merges.size() + id);
            }
        }
        return scores;
    }

    private static String preTokenizer(Fields root) {
        String text = String.valueOf(root.raw("pre_tokenizer"));
        for (Map.Entry<String, String> pattern : PATTERNS.entrySet()) {
            if (text.contains(pattern.getKey())) {
                return pattern.getValue();
            }
        }
        if (text.contains("Digits") && text.contains("individual_digits=true")) {
            return "smollm";
        }
        return "gpt-2";
    }

    /** Whether a text gets a space in front, by the normalizer or by the pre-tokenizer. */
    private static boolean addsSpace(Fields root) {
        String normalizer = String.valueOf(root.raw("normalizer"));
        String preTokenizer = String.valueOf(root.raw("pre_tokenizer"));
        return normalizer.contains("Prepend")
                || preTokenizer.contains("prepend_scheme=first")
                || preTokenizer.contains("prepend_scheme=always");
    }
}
