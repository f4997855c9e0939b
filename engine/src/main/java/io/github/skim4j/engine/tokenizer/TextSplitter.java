package io.github.skim4j.engine.tokenizer;

import io.github.skim4j.engine.tokenizer.TokenizerSpec.AddedToken;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Cuts a text where the tokens stay the same: before each added token, since the library cuts there itself and treats the text in
 * between apart, and at blank lines where the pre-tokenizer allows it. Cutting after an added token would not do: to some
 * tokenizers the start of the input is special.
 */
final class TextSplitter {

    private final Map<Character, List<String>> tokensByFirstChar;
    private final ParagraphCut paragraphCut;

    TextSplitter(List<AddedToken> addedTokens, ParagraphCut paragraphCut) {
        this.paragraphCut = paragraphCut;
        this.tokensByFirstChar = new HashMap<>();
        // Tokens that take in text around them, or only match whole words, may hide others.
        if (addedTokens.stream().allMatch(AddedToken::plain)) {
            addedTokens.stream()
                    .map(AddedToken::content)
                    .sorted(Comparator.comparingInt(String::length).reversed())
                    .forEach(token -> tokensByFirstChar
                            .computeIfAbsent(token.charAt(0), first -> new ArrayList<>())
                            .add(token));
        }
    }

    List<String> split(String text) {
        List<String> parts = new ArrayList<>();
        int start = 0;
        int index = 0;
        int textStart = 0;
        while (index < text.length()) {
            int tokenLength = lengthOfTokenAt(text, index);
            boolean cut = tokenLength > 0 || textStart < index && isBetweenParagraphs(text, index);
            if (cut && index > start) {
                parts.add(text.substring(start, index));
                start = index;
            }
            if (tokenLength > 0) {
                index += tokenLength;
                textStart = index;
            } else {
                index++;
            }
        }
        parts.add(text.substring(start));
        return parts;
    }

    private boolean isBetweenParagraphs(String text, int index) {
        return paragraphCut.allows(text, index)
                && (index + 1 == text.length() || lengthOfTokenAt(text, index + 1) == 0);
    }

    /** Length of the longest added token that begins at {@code index}, or 0. */
    private int lengthOfTokenAt(String text, int index) {
        for (String token : tokensByFirstChar.getOrDefault(text.charAt(index), List.of())) {
            if (text.startsWith(token, index)) {
                return token.length();
            }
        }
        return 0;
    }
}
