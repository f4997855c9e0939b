package io.github.skim4j.engine.attention;

import java.math.BigDecimal;

/**
 * How many tokens a method may keep or read: a number, or a share of the sequence.
 *
 * @param tokens a number of tokens; 0 if it is a share
 * @param share of the sequence's tokens, 0 … 1; 0 if it is a number
 */
public record Budget(int tokens, double share) {

    public Budget {
        if (tokens < 0 || share < 0 || share > 1 || (tokens > 0) == (share > 0)) {
            throw new IllegalArgumentException(
                    "a budget is either a number of tokens above 0 or a share above 0 % and at most 100 %");
        }
    }

    public static Budget ofTokens(int tokens) {
        return new Budget(tokens, 0);
    }

    public static Budget ofShare(double share) {
        return new Budget(0, share);
    }

    /** Reads {@code 1024} or {@code 12.5%}. */
    public static Budget parse(String text) {
        String trimmed = text.trim();
        try {
            if (trimmed.endsWith("%")) {
                // An exponent rather than a division, so that what toString writes is read back exactly.
                return ofShare(Double.parseDouble(
                        trimmed.substring(0, trimmed.length() - 1).trim() + "e-2"));
            }
            return ofTokens(Integer.parseInt(trimmed));
        } catch (IllegalArgumentException e) {
            throw new IllegalArgumentException(
                    "a budget is a number of tokens above 0, such as 1024, or a share above 0 % and at most 100 %, such as 12.5%, but is '"
                            + text + "'");
        }
    }

    public boolean isAbsolute() {
        return tokens > 0;
    }

    /** The budget in tokens for a sequence of {@code length} tokens. */
    public int tokens(int length) {
        return isAbsolute() ? tokens : (int) Math.ceil(share * length);
    }

    @Override
    public String toString() {
        return isAbsolute()
                ? Integer.toString(tokens)
                : new BigDecimal(Double.toString(share))
                                .movePointRight(2)
                                .stripTrailingZeros()
                                .toPlainString() + "%";
    }
}
