package io.github.skim4j.cli.eval;

import io.github.skim4j.engine.chat.ChatMessage;
import java.util.List;
import java.util.Locale;

/**
 * A question whose answer is known.
 *
 * @param type kind of question, for grouping
 * @param contextTokens length of the prompt, for grouping
 * @param answer the whole expected answer
 * @param value the part of it that counts; {@code null} if all of it does
 * @param questionTokens tokens of the prompt, from its end, that are the question
 */
record EvalCase(
        String id,
        String type,
        int contextTokens,
        List<ChatMessage> messages,
        String answer,
        String value,
        int questionTokens) {

    static final int DEFAULT_QUESTION_TOKENS = 64;

    /** Whether the value, or the answer where there is none, stands in {@code output}, ignoring case. */
    boolean isRight(String output) {
        String expected = value != null ? value : answer;
        return output.toLowerCase(Locale.ROOT).contains(expected.toLowerCase(Locale.ROOT));
    }

    /** The usual context length that this case's is nearest to, by ratio: {@code 1K}, {@code 4K}, {@code 8K}, {@code 16K}, … */
    String contextGroup() {
        if (contextTokens < 2048) {
            return "1K";
        }
        int doublings = Math.max(2, (int) Math.round(Math.log(contextTokens / 1024.0) / Math.log(2)));
        return (1 << doublings) + "K";
    }
}
