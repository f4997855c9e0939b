package io.github.skim4j.cli.eval;

import io.github.skim4j.engine.AttentionStats;
import io.github.skim4j.engine.GenerationResult;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;

/** Collects how one attention method does. */
final class MethodScore {

    private final String attention;
    private final Map<String, Tally> byContext =
            new TreeMap<>(Comparator.comparingInt(String::length).thenComparing(Comparator.naturalOrder()));
    private final Map<String, Tally> byType = new LinkedHashMap<>();
    private Tally all = Tally.NONE;
    private AttentionStats read = AttentionStats.NONE;
    private long decodedTokens;
    private long decodeNanos;

    MethodScore(String attention) {
        this.attention = attention;
    }

    void add(EvalCase evalCase, GenerationResult result) {
        boolean right = evalCase.isRight(result.text());
        all = all.plus(right);
        byContext.merge(evalCase.contextGroup(), Tally.NONE.plus(right), (tally, one) -> tally.plus(right));
        byType.merge(evalCase.type(), Tally.NONE.plus(right), (tally, one) -> tally.plus(right));
        read = read.plus(result.attention());
        if (result.generatedTokens() > 1) {
            decodedTokens += result.generatedTokens() - 1;
            decodeNanos += result.totalTime().minus(result.timeToFirstToken()).toNanos();
        }
    }

    String attention() {
        return attention;
    }

    Tally all() {
        return all;
    }

    Map<String, Tally> byContext() {
        return byContext;
    }

    Map<String, Tally> byType() {
        return byType;
    }

    double density() {
        return read.density();
    }

    /** Decode rate: tokens after each answer's first, a second. */
    double tokensPerSecond() {
        return decodeNanos == 0 ? 0 : decodedTokens / (decodeNanos / 1e9);
    }
}
