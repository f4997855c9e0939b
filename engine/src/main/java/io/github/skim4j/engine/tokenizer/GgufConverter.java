package io.github.skim4j.engine.tokenizer;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.io.SegmentedStringWriter;
import com.fasterxml.jackson.core.util.BufferRecycler;
import io.github.skim4j.engine.model.ModelFile.GgufVocabulary;
import io.github.skim4j.engine.model.ModelFormatException;
import java.io.IOException;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Writes a GGUF's embedded vocabulary as the {@code tokenizer.json} of a Hugging Face model. */
final class GgufConverter {

    private static final Logger LOG = LoggerFactory.getLogger(GgufConverter.class);

    private static final int NORMAL = 1;
    private static final int UNKNOWN = 2;
    private static final int CONTROL = 3;
    private static final int USER_DEFINED = 4;
    private static final int BYTE = 6;

    /** SentencePiece's mark of a space. */
    private static final String SPACE = "\u2581";
    /** Every place to part a token is tried, so a vocabulary of endless ones must not be. */
    private static final int MAX_PIECE_CHARS = 512;

    private final GgufVocabulary vocabulary;
    /** {@code null} in SentencePiece's vocabularies. */
    private final GgufPreTokenizer preTokenizer;

    /** See {@link #ids}. */
    private Map<String, Integer> ids;

    private GgufConverter(GgufVocabulary vocabulary) {
        this.vocabulary = vocabulary;
        int tokens = vocabulary.tokens().size();
        require(tokens > 0, "tokens", "is empty");
        require(
                vocabulary.types().length == tokens,
                "token_type",
                "has " + vocabulary.types().length + " entries for " + tokens + " tokens");
        this.preTokenizer = switch (String.valueOf(vocabulary.model())) {
            case "gpt2" -> preTokenizer();
            case "llama" -> null;
            default ->
                throw invalid(
                        "model",
                        "is " + vocabulary.model()
                                + ", but only gpt2 (byte-level BPE) and llama (SentencePiece) are known");
        };
    }

    /** Id by token; the first where a token comes twice. Made when first asked for: it takes longer than all that the constructor checks. */
    private Map<String, Integer> ids() {
        if (ids == null) {
            List<String> tokens = vocabulary.tokens();
            ids = new LinkedHashMap<>(2 * tokens.size());
            for (int id = 0; id < tokens.size(); id++) {
                ids.putIfAbsent(tokens.get(id), id);
            }
        }
        return ids;
    }

    /** @throws ModelFormatException naming file and key */
    static GgufConverter of(GgufVocabulary vocabulary) {
        return new GgufConverter(vocabulary);
    }

    /** @throws ModelFormatException naming file and key */
    String toTokenizerJson() {
        // Keeps characters in pieces; a StringWriter would copy them each time that it grows.
        SegmentedStringWriter text = new SegmentedStringWriter(new BufferRecycler());
        try (JsonGenerator json = new JsonFactory().createGenerator(text)) {
            json.writeStartObject();
            json.writeStringField("version", "1.0");
            writeParts(json);
            if (preTokenizer != null) {
                writeByteLevelModel(json);
            } else {
                writeSentencePieceModel(json);
            }
            json.writeEndObject();
            json.flush();
            return text.getAndClear();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** What {@link TokenizerSpec#parse} would read in {@link #toTokenizerJson}. */
    TokenizerSpec spec() {
        StringWriter parts = new StringWriter();
        JsonFactory factory = new JsonFactory();
        try (JsonGenerator json = factory.createGenerator(parts)) {
            json.writeStartObject();
            writeParts(json);
            json.writeEndObject();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        try (JsonParser parser = factory.createParser(parts.toString())) {
            parser.nextToken();
            return TokenizerSpec.of(ids(), JsonTree.read(parser), vocabulary.file());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** All but the model. */
    private void writeParts(JsonGenerator json) throws IOException {
        writeAddedTokens(json);
        if (preTokenizer != null) {
            preTokenizer.write(json);
            json.writeFieldName("decoder");
            GgufPreTokenizer.writeByteLevel(json, false);
        } else {
            writeSentencePieceParts(json);
        }
    }

    private void writeAddedTokens(JsonGenerator json) throws IOException {
        json.writeArrayFieldStart("added_tokens");
        for (Map.Entry<String, Integer> token : ids().entrySet()) {
            int type = vocabulary.types()[token.getValue()];
            boolean special = type == CONTROL || type == UNKNOWN;
            if ((special || type == USER_DEFINED) && !token.getKey().isEmpty()) {
                json.writeStartObject();
                json.writeNumberField("id", token.getValue());
                json.writeStringField("content", token.getKey());
                for (String flag : List.of("single_word", "lstrip", "rstrip", "normalized")) {
                    json.writeBooleanField(flag, false);
                }
                json.writeBooleanField("special", special);
                json.writeEndObject();
            }
        }
        json.writeEndArray();
    }

    private void writeByteLevelModel(JsonGenerator json) throws IOException {
        List<String> merges = vocabulary.merges();
        boolean plain = merges.stream().allMatch(GgufConverter::isPlain);
        writeModel(
                json,
                plain ? merges : merges.stream().map(this::pair).toList(),
                null,
                false,
                preTokenizer.ignoreMerges());
    }

    /** Whether the native library takes {@code merge} as it is, which it reads faster than a pair: as two words and no comment. */
    private static boolean isPlain(String merge) {
        int space = merge.indexOf(' ');
        return space > 0
                && space < merge.length() - 1
                && merge.indexOf(' ', space + 1) < 0
                && !merge.startsWith("#version");
    }

    private String[] pair(String merge) {
        int space = merge.indexOf(' ', 1);
        if (space < 0 || space == merge.length() - 1) {
            throw invalid("merges", "has '" + merge + "', which is no pair");
        }
        return new String[] {merge.substring(0, space), merge.substring(space + 1)};
    }

    private GgufPreTokenizer preTokenizer() {
        String name = vocabulary.pre();
        if (name == null) {
            LOG.warn(
                    "{} does not name its pre-tokenizer (tokenizer.ggml.pre), so 'default' is taken and answers may be worse;"
                            + " convert the model again with a newer converter",
                    vocabulary.file());
            name = "default";
        }
        GgufPreTokenizer known = GgufPreTokenizer.BY_NAME.get(name);
        if (known == null) {
            throw invalid(
                    "pre",
                    "is " + name + ", but the known ones are " + String.join(", ", GgufPreTokenizer.BY_NAME.keySet()));
        }
        return known;
    }

    private void writeSentencePieceParts(JsonGenerator json) throws IOException {
        json.writeObjectFieldStart("normalizer");
        json.writeStringField("type", "Sequence");
        json.writeArrayFieldStart("normalizers");
        if (vocabulary.addSpacePrefix()) {
            json.writeStartObject();
            json.writeStringField("type", "Prepend");
            json.writeStringField("prepend", SPACE);
            json.writeEndObject();
        }
        writeReplace(json, " ", SPACE);
        json.writeEndArray();
        json.writeEndObject();

        json.writeObjectFieldStart("decoder");
        json.writeStringField("type", "Sequence");
        json.writeArrayFieldStart("decoders");
        writeReplace(json, SPACE, " ");
        for (String type : List.of("ByteFallback", "Fuse")) {
            json.writeStartObject();
            json.writeStringField("type", type);
            json.writeEndObject();
        }
        if (vocabulary.addSpacePrefix()) {
            json.writeStartObject();
            json.writeStringField("type", "Strip");
            json.writeStringField("content", " ");
            json.writeNumberField("start", 1);
            json.writeNumberField("stop", 0);
            json.writeEndObject();
        }
        json.writeEndArray();
        json.writeEndObject();
    }

    private void writeSentencePieceModel(JsonGenerator json) throws IOException {
        require(
                vocabulary.scores().length == vocabulary.tokens().size(),
                "scores",
                "has " + vocabulary.scores().length + " entries for "
                        + vocabulary.tokens().size() + " tokens");
        boolean[] bytes = new boolean[256];
        String unknown = null;
        for (Map.Entry<String, Integer> token : ids().entrySet()) {
            int type = vocabulary.types()[token.getValue()];
            if (type == BYTE) {
                bytes[byteOf(token.getKey())] = true;
            } else if (type == UNKNOWN && unknown == null) {
                unknown = token.getKey();
            }
        }
        boolean byteFallback = allTrue(bytes);
        require(
                byteFallback || unknown != null,
                "token_type",
                "marks neither an unknown token nor one for each byte, so other texts than the training's can't be encoded");
        writeModel(json, mergesByScore(), unknown, byteFallback, false);
    }

    private int byteOf(String token) {
        require(token.matches("<0x[0-9A-F]{2}>"), "token_type", "calls '" + token + "' a byte");
        return Integer.parseInt(token.substring(3, 5), 16);
    }

    private static boolean allTrue(boolean[] values) {
        for (boolean value : values) {
            if (!value) {
                return false;
            }
        }
        return true;
    }

    /**
     * SentencePiece's BPE merges the two neighbours that make the token of the highest score, so a pair's rank is the score of what
     * it makes. Of one token's pairs the one with the longer left half comes first, as in Llama 2's own {@code tokenizer.json}.
     */
    private List<String[]> mergesByScore() {
        record Merge(String left, String right, float score, int id) {}
        Map<String, Integer> pieces = new HashMap<>();
        ids().forEach((token, id) -> {
            if (vocabulary.types()[id] == NORMAL) {
                if (token.length() > MAX_PIECE_CHARS) {
                    throw invalid(
                            "tokens", "has one of " + token.length() + " characters, more than " + MAX_PIECE_CHARS);
                }
                pieces.put(token, id);
            }
        });
        List<Merge> merges = new ArrayList<>();
        pieces.forEach((token, id) -> {
            for (int at = 1; at < token.length(); at++) {
                if (!Character.isLowSurrogate(token.charAt(at))
                        && pieces.containsKey(token.substring(0, at))
                        && pieces.containsKey(token.substring(at))) {
                    merges.add(new Merge(
                            token.substring(0, at),
                            token.substring(at),
                            vocabulary.scores()[id],
                            id));
                }
            }
        });
        merges.sort(Comparator.comparing(Merge::score)
                .reversed()
                .thenComparing(Merge::id)
                .thenComparing(merge -> -merge.left().length()));
        return merges.stream()
                .map(merge -> new String[] {merge.left(), merge.right()})
                .toList();
    }

    /** @param merges pairs as arrays, or strings with a space in between */
    private void writeModel(
            JsonGenerator json, List<?> merges, String unknown, boolean byteFallback, boolean ignoreMerges)
            throws IOException {
        json.writeObjectFieldStart("model");
        json.writeStringField("type", "BPE");
        json.writeStringField("unk_token", unknown);
        json.writeBooleanField("fuse_unk", unknown != null);
        json.writeBooleanField("byte_fallback", byteFallback);
        json.writeBooleanField("ignore_merges", ignoreMerges);
        json.writeObjectFieldStart("vocab");
        for (Map.Entry<String, Integer> token : ids().entrySet()) {
            json.writeNumberField(token.getKey(), token.getValue());
        }
        json.writeEndObject();
        json.writeArrayFieldStart("merges");
        for (Object merge : merges) {
            if (merge instanceof String words) {
                json.writeString(words);
            } else {
                json.writeArray((String[]) merge, 0, 2);
            }
        }
        json.writeEndArray();
        json.writeEndObject();
    }

    private static void writeReplace(JsonGenerator json, String pattern, String content) throws IOException {
        json.writeStartObject();
        json.writeStringField("type", "Replace");
        json.writeObjectFieldStart("pattern");
        json.writeStringField("String", pattern);
        json.writeEndObject();
        json.writeStringField("content", content);
        json.writeEndObject();
    }

    private void require(boolean condition, String key, String otherwise) {
        if (!condition) {
            throw invalid(key, otherwise);
        }
    }

    private ModelFormatException invalid(String key, String what) {
        return new ModelFormatException(vocabulary.file() + ": tokenizer.ggml." + key + " " + what);
    }
}
