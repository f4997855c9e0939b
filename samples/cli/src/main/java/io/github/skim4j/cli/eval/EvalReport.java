package io.github.skim4j.cli.eval;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** An evaluation's outcome as it is printed with {@code --json}, in snake case. */
record EvalReport(String model, String device, String protocol, List<Result> results) {

    /** One attention method; accuracies and density are shares, 0 … 1. */
    record Result(
            String attention,
            double accuracy,
            double density,
            int cases,
            double tokensPerSecond,
            Map<String, Double> byContext,
            Map<String, Double> byType) {}

    static EvalReport of(String model, String device, Protocol protocol, List<MethodScore> scores) {
        return new EvalReport(
                model,
                device,
                protocol.name().toLowerCase(Locale.ROOT),
                scores.stream()
                        .map(score -> new Result(
                                score.attention(),
                                score.all().accuracy(),
                                score.density(),
                                score.all().cases(),
                                score.tokensPerSecond(),
                                accuracies(score.byContext()),
                                accuracies(score.byType())))
                        .toList());
    }

    private static Map<String, Double> accuracies(Map<String, Tally> tallies) {
        Map<String, Double> accuracies = new LinkedHashMap<>();
        tallies.forEach((group, tally) -> accuracies.put(group, tally.accuracy()));
        return accuracies;
    }
}
