package io.github.skim4j.engine.tokenizer;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.skim4j.engine.model.ModelFormatException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * What a {@code tokenizer.json} says beyond encoding, which the native library does: bytes of the tokens, and where a text may be cut.
 *
 * @param leadingSpacesToStrip spaces that the start of a decoded text loses, as SentencePiece puts one there
 */
record TokenizerSpec(
        TokenBytes tokenBytes, int leadingSpacesToStrip, List<AddedToken> addedTokens, ParagraphCut paragraphCut) {

    /** No vocabulary comes near; an id sizes an array, so it must not be trusted. */
    private static final int MAX_TOKENS = 1 << 22;

    /**
     * A token that is found in the text before anything else is done with it.
     *
     * @param plain found wherever its text stands in the unnormalised input, and takes nothing around it
     */
    record AddedToken(int id, String content, boolean special, boolean plain) {

        static AddedToken of(JsonNode node) {
            return new AddedToken(
                    node.path("id").asInt(-1),
                    node.path("content").asText(),
                    node.path("special").asBoolean(),
                    !node.path("single_word").asBoolean()
                            && !node.path("lstrip").asBoolean()
                            && !node.path("rstrip").asBoolean()
                            && !node.path("normalized").asBoolean());
        }
    }

    /**
     * Reads {@code json}, all but the merges.
     *
     * @throws ModelFormatException naming {@code file} and field
     */
    static TokenizerSpec parse(String json, Path file) {
        Map<String, Integer> ids = new HashMap<>();
        ObjectNode parts = JsonNodeFactory.instance.objectNode();
        try (JsonParser parser = new JsonFactory().createParser(json)) {
            require(parser.nextToken() == JsonToken.START_OBJECT, file, "is no JSON object");
            while (parser.nextToken() == JsonToken.FIELD_NAME) {
                String name = parser.currentName();
                parser.nextToken();
                if (name.equals("model")) {
                    readModel(parser, ids, file);
                } else {
                    parts.set(name, JsonTree.read(parser));
                }
            }
        } catch (JsonProcessingException e) {
            throw new ModelFormatException(file + " is no valid JSON: " + e.getOriginalMessage(), e);
        } catch (IOException e) {
            throw new ModelFormatException("can't read " + file + ": " + e.getMessage(), e);
        }
        require(!ids.isEmpty(), file, "has no vocabulary (field model.vocab)");
        return of(ids, parts, file);
    }

    /**
     * @param ids id of each token by its name, to which added tokens are put
     * @param parts the fields of a {@code tokenizer.json} but for the model
     */
    static TokenizerSpec of(Map<String, Integer> ids, JsonNode parts, Path file) {
        List<AddedToken> added = new ArrayList<>();
        for (JsonNode node : parts.path("added_tokens")) {
            AddedToken token = AddedToken.of(node);
            require(!token.content().isEmpty(), file, "has an empty added token");
            ids.put(token.content(), token.id());
            added.add(token);
        }
        TokenDecoder decoder = TokenDecoder.of(parts.path("decoder"), file);
        return new TokenizerSpec(
                tokenBytes(ids, added, decoder, file),
                decoder.leadingSpacesToStrip(),
                added,
                ParagraphCut.of(parts.path("normalizer"), parts.path("pre_tokenizer"), added));
    }

    private static void readModel(JsonParser parser, Map<String, Integer> ids, Path file) throws IOException {
        require(parser.currentToken() == JsonToken.START_OBJECT, file, "has no model");
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            String name = parser.currentName();
            JsonToken value = parser.nextToken();
            if (!name.equals("vocab")) {
                parser.skipChildren();
            } else if (value == JsonToken.START_OBJECT) {
                while (parser.nextToken() == JsonToken.FIELD_NAME) {
                    String token = parser.currentName();
                    ids.put(token, parser.nextIntValue(-1));
                }
            } else {
                // Unigram: pairs of token and score, in the order of their ids.
                for (JsonNode pair : JsonTree.read(parser)) {
                    ids.put(pair.path(0).asText(), ids.size());
                }
            }
        }
    }

    private static TokenBytes tokenBytes(
            Map<String, Integer> ids, List<AddedToken> added, TokenDecoder decoder, Path file) {
        int size = 0;
        for (Map.Entry<String, Integer> token : ids.entrySet()) {
            int id = token.getValue();
            if (id < 0 || id >= MAX_TOKENS) {
                throw invalid(file, "gives token '" + token.getKey() + "' the id " + id);
            }
            size = Math.max(size, id + 1);
        }
        byte[][] bytes = new byte[size][];
        ids.forEach((token, id) -> bytes[id] = decoder.bytes(token));
        for (AddedToken token : added) {
            bytes[token.id()] = token.special() ? null : decoder.bytesOfAdded(token.content());
        }
        return TokenBytes.of(bytes);
    }

    static void require(boolean condition, Path file, String otherwise) {
        if (!condition) {
            throw invalid(file, otherwise);
        }
    }

    static ModelFormatException invalid(Path file, String what) {
        return new ModelFormatException("tokenizer of " + file + " " + what);
    }
}
