package io.github.skim4j.cli.eval.report;

import com.fasterxml.jackson.annotation.JsonIgnore;
import com.fasterxml.jackson.annotation.JsonUnwrapped;
import io.github.skim4j.cli.eval.run.EvalResult;
import io.github.skim4j.cli.eval.run.EvalResults;
import io.github.skim4j.engine.kv.KvCacheConfig.KvType;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * An evaluation's outcome as it is printed with {@code --json}, in snake case.
 *
 * @param program name and version
 * @param date of the report, ISO 8601
 */
public record EvalReport(
        String program,
        String date,
        String model,
        String device,
        String weights,
        KvType kvType,
        int pageSize,
        String protocol,
        List<Method> results) {

    /**
     * One attention method.
     *
     * @param attention as the user wrote it
     * @param spec with all settings
     * @param all over all cases; its fields stand among the method's own in JSON
     * @param byContext by group of context lengths, the shortest first
     * @param byType by kind of question
     */
    public record Method(
            String attention,
            String spec,
            @JsonUnwrapped Score all,
            Map<String, Score> byContext,
            Map<String, Score> byType) {

        static Method of(List<EvalResult> results) {
            Map<String, List<EvalResult>> contexts =
                    new TreeMap<>(Comparator.comparingInt(String::length).thenComparing(Comparator.naturalOrder()));
            contexts.putAll(grouped(results, EvalResult::context));
            return new Method(
                    results.get(0).attention(),
                    results.get(0).spec(),
                    Score.of(results),
                    scores(contexts),
                    scores(grouped(results, EvalResult::type)));
        }

        private static Map<String, Score> scores(Map<String, List<EvalResult>> groups) {
            Map<String, Score> scores = new LinkedHashMap<>();
            groups.forEach((group, results) -> scores.put(group, Score.of(results)));
            return scores;
        }

        /** Whether the method can leave tokens out. */
        boolean isMeantToBeSparse() {
            return !spec.equals("dense");
        }

        /** The method without its budget: methods of one name make a line of a plot. */
        @JsonIgnore
        String family() {
            return attention.replaceFirst("budget=[^,]*,?", "").replaceFirst("[:,]$", "");
        }
    }

    public static EvalReport of(
            String program, String date, String device, EvalResults.Setting setting, List<EvalResult> results) {
        return new EvalReport(
                program,
                date,
                setting.model(),
                device,
                setting.weights(),
                setting.kvType(),
                setting.pageSize(),
                setting.protocol(),
                grouped(results, EvalResult::spec).values().stream()
                        .map(Method::of)
                        .toList());
    }

    private static Map<String, List<EvalResult>> grouped(List<EvalResult> results, Function<EvalResult, String> group) {
        return results.stream().collect(Collectors.groupingBy(group, LinkedHashMap::new, Collectors.toList()));
    }

    /** Groups of all methods, in the order of the first method that has them. */
    static Set<String> groups(List<Method> methods, Function<Method, Map<String, Score>> by) {
        Set<String> groups = new LinkedHashSet<>();
        methods.forEach(method -> groups.addAll(by.apply(method).keySet()));
        return groups;
    }

    /** Whether a recall probe saw any of the methods. */
    @JsonIgnore
    boolean isProbed() {
        return results.stream().anyMatch(method -> method.all().keptMass() != null);
    }
}
