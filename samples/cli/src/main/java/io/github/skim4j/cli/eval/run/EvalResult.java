package io.github.skim4j.cli.eval.run;

import io.github.skim4j.cli.AttentionSpec;
import io.github.skim4j.cli.eval.cases.EvalCase;
import io.github.skim4j.engine.AttentionStats;
import io.github.skim4j.engine.GenerationResult;

/**
 * One method's answer to one case; a line of the results file.
 *
 * @param fingerprint of the case
 * @param context group of the case's length, such as {@code 4K}
 * @param attention the method as the user wrote it
 * @param spec the method with all its settings
 * @param score share of the expected values in the answer, 0 … 1
 * @param cachedTokens prompt tokens that did not have to be computed
 * @param decodeSeconds time after the first token
 */
public record EvalResult(
        String caseId,
        String fingerprint,
        String type,
        String context,
        String attention,
        String spec,
        double score,
        String answer,
        int promptTokens,
        int cachedTokens,
        int generatedTokens,
        double decodeSeconds,
        AttentionStats read) {

    static EvalResult of(EvalCase evalCase, AttentionSpec method, GenerationResult result) {
        return new EvalResult(
                evalCase.id(),
                evalCase.fingerprint(),
                evalCase.type(),
                evalCase.contextGroup(),
                method.text(),
                method.method().spec(),
                evalCase.score(result.text()),
                result.text(),
                result.promptTokens(),
                result.cachedTokens(),
                result.generatedTokens(),
                result.totalTime().minus(result.timeToFirstToken()).toNanos() / 1e9,
                result.attention());
    }
}
