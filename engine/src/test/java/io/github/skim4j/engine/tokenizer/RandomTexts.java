package io.github.skim4j.engine.tokenizer;

import java.util.Random;

/** Random mixtures of scripts, emojis, white space, code and special tokens. */
final class RandomTexts {

    private static final String[] PIECES = {
        " ", "  ", "\n", "\n\n", "\n\n\n", "\t", "\r\n", "\r\n\r\n", "\u00A0", "\u3000", "\u2028", "\u0085", "a", "The",
                " harbour",
        "master's", "DON'T", "x1", "42", " 3.14", "1234567", "½", "٣٤", "²", "Ⅷ", "größer", "naïve", "e\u0301",
                "\u0301", "ё",
        "журнал", "βιβλίο", "港口的船", "湾に", "항구", "ا لسفينة", "नाव", "😀", "👋🏽", "👨‍👩‍👧", "🇫🇷", "\uFE0F", "𝔘",
                "- item", "# Title",
        "/path", "'s", "\"q\"", "(x)", "...", "!!", ".\n\n", "{\"k\": [1, 2]}", "=>", "▁", "<0x0A>", "<s>", "|",
                "\u0000", "\uFFFD",
        "<|im_start|>", "<|im_end|>\n", "<|endoftext|>", "<|im_", "<tool_call>",
    };

    private RandomTexts() {}

    static String next(Random random, int pieces) {
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < pieces; i++) {
            if (random.nextInt(8) == 0) {
                appendAnyCharacter(text, random);
            } else {
                text.append(PIECES[random.nextInt(PIECES.length)]);
            }
        }
        return text.toString();
    }

    private static void appendAnyCharacter(StringBuilder text, Random random) {
        int c = random.nextInt(0x20000);
        if (c < Character.MIN_SURROGATE || c > Character.MAX_SURROGATE) {
            text.appendCodePoint(c);
        }
    }
}
