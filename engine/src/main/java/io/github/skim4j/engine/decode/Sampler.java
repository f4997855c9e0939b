package io.github.skim4j.engine.decode;

import io.github.skim4j.engine.SamplingParameters;
import io.github.skim4j.engine.backend.Backend.SpanResult;
import io.github.skim4j.engine.backend.Span.Logits;
import io.github.skim4j.engine.backend.TokenDraw;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.SplittableRandom;

/**
 * Says how one request's tokens are drawn, with random numbers of its own, so that a seed gives the same text whatever else runs in
 * the batch. The backend draws, but for penalties: they depend on what was drawn before, and are applied to the logits here.
 */
final class Sampler {

    private final SamplingParameters parameters;
    private final SplittableRandom random;
    private final boolean penalizes;
    private final Map<Integer, Integer> outputCounts = new HashMap<>();
    private final int[] promptTokens;
    private TokenDraw draw;

    Sampler(SamplingParameters parameters, int[] prompt) {
        this.parameters = parameters;
        this.random = parameters.seed() == null ? new SplittableRandom() : new SplittableRandom(parameters.seed());
        this.penalizes = parameters.repetitionPenalty() != 1
                || parameters.frequencyPenalty() != 0
                || parameters.presencePenalty() != 0;
        this.promptTokens = parameters.repetitionPenalty() == 1
                ? new int[0]
                : Arrays.stream(prompt).distinct().toArray();
        this.draw = nextDraw();
    }

    private TokenDraw nextDraw() {
        return parameters.temperature() == 0
                ? TokenDraw.GREEDY
                : new TokenDraw(
                        parameters.temperature(),
                        parameters.topK(),
                        parameters.topP(),
                        parameters.minP(),
                        random.nextDouble());
    }

    /** What a backend must give for the next token: the token itself by {@link #draw}, or the logits that penalties change. */
    Logits wantedLogits() {
        return penalizes ? Logits.LAST : Logits.TOKEN;
    }

    /** How the backend draws the next token; {@code null} if it gives logits instead. */
    TokenDraw draw() {
        return penalizes ? null : draw;
    }

    /**
     * The next token.
     *
     * @param result what a backend gave; penalties change its logits
     * @throws ArithmeticException if no logit is finite
     */
    int next(SpanResult result) {
        int token = penalizes ? drawPenalized(result.logits()[0]) : checked(result.token());
        draw = nextDraw();
        return token;
    }

    private int drawPenalized(float[] logits) {
        applyPenalties(logits);
        int token = checked(draw.pick(logits));
        outputCounts.merge(token, 1, Integer::sum);
        return token;
    }

    private static int checked(int token) {
        if (token < 0) {
            throw new ArithmeticException("the model gave no finite logit");
        }
        return token;
    }

    private void applyPenalties(float[] logits) {
        double repetition = parameters.repetitionPenalty();
        if (repetition != 1) {
            for (int token : promptTokens) {
                if (!outputCounts.containsKey(token)) {
                    logits[token] = repeated(logits[token], repetition);
                }
            }
        }
        for (Map.Entry<Integer, Integer> seen : outputCounts.entrySet()) {
            int token = seen.getKey();
            logits[token] = (float) (repeated(logits[token], repetition)
                    - parameters.frequencyPenalty() * seen.getValue()
                    - parameters.presencePenalty());
        }
    }

    private static float repeated(float logit, double penalty) {
        return (float) (logit > 0 ? logit / penalty : logit * penalty);
    }
}
