package io.github.skim4j.engine;

import java.time.Duration;
import java.util.List;

/**
 * What a generation came to.
 *
 * @param text the generated text without stop sequence and end-of-turn token
 * @param tokens the generated token ids, the end-of-turn token left out
 * @param promptTokens tokens in the prompt
 * @param cachedTokens how many of them had their keys and values in the prefix cache
 * @param generatedTokens tokens decoded, the end-of-turn token included
 * @param queueTime from submission to the first prefill step
 * @param timeToFirstToken from submission to the first token; zero if there was none
 * @param totalTime from submission to the end
 * @param attention what attention read
 */
public record GenerationResult(
        String text,
        List<Integer> tokens,
        FinishReason finishReason,
        int promptTokens,
        int cachedTokens,
        int generatedTokens,
        Duration queueTime,
        Duration timeToFirstToken,
        Duration totalTime,
        AttentionStats attention) {

    public GenerationResult {
        tokens = List.copyOf(tokens);
    }

    /** Decode rate: tokens after the first, a second; 0 if there were fewer than two. */
    public double tokensPerSecond() {
        double seconds = totalTime.minus(timeToFirstToken).toNanos() / 1e9;
        return generatedTokens < 2 || seconds <= 0 ? 0 : (generatedTokens - 1) / seconds;
    }
}
