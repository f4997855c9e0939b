package io.github.skim4j.cli.eval.report;

import io.github.skim4j.cli.eval.run.EvalResult;
import io.github.skim4j.engine.AttentionStats;
import java.util.List;

/**
 * How a method did on some cases.
 *
 * @param accuracy mean score, 0 … 1
 * @param density attended share of the tokens that the method could leave out; 1 if it left out none
 * @param traffic bytes read, selection included, relative to dense attention's
 * @param keptMass share of the attention on tokens that were read; {@code null} without a probe
 * @param outputError relative error of the heads' outputs; {@code null} without a probe
 * @param selectionShare selection's share of attention's time, 0 … 1; {@code null} where no time was measured
 * @param tokensPerSecond decode rate: tokens after each answer's first
 * @param sparse whether the method left anything out
 */
public record Score(
        double accuracy,
        double density,
        double traffic,
        Double keptMass,
        Double outputError,
        Double selectionShare,
        double tokensPerSecond,
        int cases,
        boolean sparse) {

    static Score of(List<EvalResult> results) {
        AttentionStats read = AttentionStats.NONE;
        double scores = 0;
        double seconds = 0;
        long tokens = 0;
        for (EvalResult result : results) {
            read = read.plus(result.read());
            scores += result.score();
            if (result.generatedTokens() > 1) {
                tokens += result.generatedTokens() - 1;
                seconds += result.decodeSeconds();
            }
        }
        boolean probed = read.probe().samples() > 0;
        return new Score(
                scores / results.size(),
                read.density(),
                read.traffic(),
                probed ? read.probe().keptMass() : null,
                probed ? read.probe().outputError() : null,
                read.time().selectionShare(),
                seconds == 0 ? 0 : tokens / seconds,
                results.size(),
                read.density() < 1);
    }
}
