package io.github.skim4j.engine.tokenizer;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.skim4j.engine.tokenizer.TokenizerSpec.AddedToken;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/**
 * Where a blank line may be cut without a change to the tokens. A merge never crosses the border of two matches of the
 * pre-tokenizer's pattern, so a cut is safe where such a border stands in the whole text and the matches on both sides are the same
 * without the other side. Both kinds are for line breaks that a letter, or ASCII punctuation but the slash, follows: none of the
 * patterns looks back, and the one look-ahead, {@code \s+(?!\S)}, is what the first kind is about.
 */
enum ParagraphCut {
    /**
     * Before the last of the line breaks. GPT-2's {@code \s+(?!\S)} leaves the last white space of a run to what follows; the rest
     * is one match with or without what follows, and a line break, other than a space, then stands alone.
     */
    BEFORE_LAST_BREAK,
    /**
     * After the last of the line breaks. The patterns of Llama 3 and its kin end a match there: white space up to the last line
     * break is one match ({@code \s*[\r\n]+}), but for line breaks that belong to the punctuation before them.
     */
    AFTER_LAST_BREAK,
    /** Nowhere. */
    NONE;

    private static final Set<String> BREAKS_END_MATCHES =
            Set.of(GgufPreTokenizer.LLAMA_3, GgufPreTokenizer.QWEN_2, GgufPreTokenizer.TEKKEN);

    /** The cut that is safe for a {@code tokenizer.json} with these parts; other patterns than the ones proven give none. */
    static ParagraphCut of(JsonNode normalizer, JsonNode preTokenizer, List<AddedToken> added) {
        // NFC leaves what stands on the two sides of a line break apart. Tokens found after normalisation could begin
        // anywhere.
        boolean nfc = normalizer.path("type").asText().equals("NFC");
        if (!(absent(normalizer) || nfc) || !added.stream().allMatch(AddedToken::plain)) {
            return NONE;
        }
        List<JsonNode> steps = new ArrayList<>();
        (preTokenizer.has("pretokenizers") ? preTokenizer.path("pretokenizers") : List.of(preTokenizer))
                .forEach(steps::add);
        if (steps.isEmpty() || !isByteLevel(steps.get(steps.size() - 1))) {
            return NONE;
        }
        boolean gpt2 = steps.get(steps.size() - 1).path("use_regex").asBoolean(true);
        List<JsonNode> before = steps.subList(0, steps.size() - 1);
        if (gpt2) {
            return before.stream().allMatch(ParagraphCut::isolatesDigits) ? BEFORE_LAST_BREAK : NONE;
        }
        return before.size() == 1 && BREAKS_END_MATCHES.contains(isolatedPattern(before.get(0)))
                ? AFTER_LAST_BREAK
                : NONE;
    }

    private static boolean isolatesDigits(JsonNode step) {
        return step.path("type").asText().equals("Digits")
                || isolatedPattern(step).equals("\\p{N}");
    }

    /** The pattern whose matches {@code step} makes pieces of their own, or an empty text. */
    private static String isolatedPattern(JsonNode step) {
        boolean isolates = step.path("type").asText().equals("Split")
                && step.path("behavior").asText().equals("Isolated")
                && !step.path("invert").asBoolean();
        return isolates ? step.path("pattern").path("Regex").asText() : "";
    }

    private static boolean absent(JsonNode node) {
        return node.isMissingNode() || node.isNull();
    }

    private static boolean isByteLevel(JsonNode step) {
        return step.path("type").asText().equals("ByteLevel")
                && !step.path("add_prefix_space").asBoolean(true);
    }

    /** Whether {@code text} may be cut before {@code index}, both sides being ordinary text. */
    boolean allows(String text, int index) {
        return switch (this) {
            case BEFORE_LAST_BREAK -> isBlankLine(text, index - 1) && isStart(text, index + 1);
            case AFTER_LAST_BREAK -> isBlankLine(text, index - 2) && isStart(text, index);
            case NONE -> false;
        };
    }

    private static boolean isBlankLine(String text, int index) {
        return index >= 0 && text.startsWith("\n\n", index);
    }

    private static boolean isStart(String text, int index) {
        if (index >= text.length()) {
            return false;
        }
        int c = text.codePointAt(index);
        return Character.isLetter(c) || c > ' ' && c < 0x7F && c != '/' && !Character.isDigit(c);
    }
}
