package io.github.skim4j.engine.tokenizer;

/** Java strings that may not be well-formed. */
final class Utf16 {

    private Utf16() {}

    /** {@code text} with U+FFFD for every surrogate that is not half of a pair. */
    static String replaceUnpairedSurrogates(String text) {
        StringBuilder repaired = null;
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (!Character.isSurrogate(c)) {
                continue;
            }
            if (Character.isHighSurrogate(c) && i + 1 < text.length() && Character.isLowSurrogate(text.charAt(i + 1))) {
                i++;
                continue;
            }
            if (repaired == null) {
                repaired = new StringBuilder(text);
            }
            repaired.setCharAt(i, '\uFFFD');
        }
        return repaired == null ? text : repaired.toString();
    }
}
