package io.github.skim4j.engine.tokenizer;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;

/**
 * The {@code decoder} of a {@code tokenizer.json}, for one token: either byte-level, or SentencePiece's, which writes spaces as
 * another character and bytes as {@code <0x0A>}.
 */
final class TokenDecoder {

    private boolean byteLevel;
    private boolean byteFallback;
    private String space;
    private int leadingSpacesToStrip;

    private TokenDecoder() {}

    /** @throws io.github.skim4j.engine.model.ModelFormatException for decoders that no language model's tokenizer has */
    static TokenDecoder of(JsonNode node, Path file) {
        TokenizerSpec.require(!node.isMissingNode() && !node.isNull(), file, "has no decoder");
        TokenDecoder decoder = new TokenDecoder();
        Iterable<JsonNode> steps =
                node.path("type").asText().equals("Sequence") ? node.path("decoders") : List.of(node);
        for (JsonNode step : steps) {
            boolean known = switch (step.path("type").asText()) {
                case "ByteLevel" -> decoder.byteLevel = true;
                case "ByteFallback" -> decoder.byteFallback = true;
                case "Fuse" -> true;
                case "Replace" -> decoder.replace(step);
                case "Strip" -> decoder.strip(step);
                default -> false;
            };
            if (!known) {
                throw TokenizerSpec.invalid(
                        file,
                        "has the decoder " + step
                                + ", but only ByteLevel and SentencePiece's (Replace, ByteFallback, Fuse, Strip)"
                                + " are known");
            }
        }
        return decoder;
    }

    private boolean replace(JsonNode step) {
        space = step.path("pattern").path("String").asText();
        return !space.isEmpty() && step.path("content").asText().equals(" ");
    }

    private boolean strip(JsonNode step) {
        leadingSpacesToStrip = step.path("start").asInt();
        return step.path("content").asText().equals(" ") && step.path("stop").asInt() == 0;
    }

    int leadingSpacesToStrip() {
        return leadingSpacesToStrip;
    }

    byte[] bytes(String token) {
        if (byteLevel) {
            return ByteLevel.decode(token);
        }
        if (byteFallback && token.length() == 6 && token.startsWith("<0x") && token.endsWith(">")) {
            int high = Character.digit(token.charAt(3), 16);
            int low = Character.digit(token.charAt(4), 16);
            if (high >= 0 && low >= 0) {
                return new byte[] {(byte) (high << 4 | low)};
            }
        }
        return bytesOfAdded(token);
    }

    /** Added tokens stand for themselves, whatever alphabet the vocabulary is written in. */
    byte[] bytesOfAdded(String token) {
        String text = space == null ? token : token.replace(space, " ");
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
