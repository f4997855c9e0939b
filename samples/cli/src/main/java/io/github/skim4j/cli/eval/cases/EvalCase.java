package io.github.skim4j.cli.eval.cases;

import io.github.skim4j.engine.chat.ChatMessage;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;

/**
 * A question whose answer is known.
 *
 * @param type kind of question, for grouping
 * @param contextTokens length of the prompt, for grouping
 * @param answer the whole expected answer
 * @param values the parts of it that count, at least one
 * @param questionTokens tokens of the prompt, from its end, that are the question
 * @param maxTokens most tokens of an answer
 */
public record EvalCase(
        String id,
        String type,
        int contextTokens,
        List<ChatMessage> messages,
        String answer,
        List<String> values,
        int questionTokens,
        int maxTokens) {

    public static final int DEFAULT_QUESTION_TOKENS = 64;
    public static final int DEFAULT_MAX_TOKENS = 64;

    public EvalCase {
        messages = List.copyOf(messages);
        values = List.copyOf(values);
        if (values.isEmpty()) {
            throw new IllegalArgumentException("case " + id + " expects nothing");
        }
    }

    /** Share of the values that stand in {@code output}, ignoring case, 0 … 1 (RULER's recall, arXiv 2404.06654, section 3). */
    public double score(String output) {
        String text = output.toLowerCase(Locale.ROOT);
        return (double) values.stream()
                        .filter(value -> text.contains(value.toLowerCase(Locale.ROOT)))
                        .count()
                / values.size();
    }

    /** The usual context length that this case's is nearest to, by ratio: {@code 1K}, {@code 2K}, {@code 4K}, … */
    public String contextGroup() {
        int doublings = Math.max(0, (int) Math.round(Math.log(contextTokens / 1024.0) / Math.log(2)));
        return (1 << doublings) + "K";
    }

    /** Tells cases of the same id apart. */
    public String fingerprint() {
        try {
            byte[] hash = MessageDigest.getInstance("SHA-256").digest(toString().getBytes(StandardCharsets.UTF_8));
            return HexFormat.of().formatHex(hash, 0, 8);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }
}
