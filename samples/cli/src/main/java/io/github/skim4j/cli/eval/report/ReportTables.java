package io.github.skim4j.cli.eval.report;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;

/** A report's tables as rows of cells, the header first. */
public final class ReportTables {

    static final String NOT_SPARSE = "*";
    public static final String NOT_SPARSE_NOTE =
            NOT_SPARSE + " left nothing out: the budget covers the context, so that this says nothing about the method";

    private final EvalReport report;

    public ReportTables(EvalReport report) {
        this.report = report;
    }

    /** All tables by title. */
    public Map<String, List<List<String>>> all() {
        Map<String, List<List<String>>> tables = new LinkedHashMap<>();
        tables.put("All cases", methods(report.results(), EvalReport.Method::all));
        Set<String> contexts = EvalReport.groups(report.results(), EvalReport.Method::byContext);
        if (contexts.size() > 1) {
            for (String context : contexts) {
                tables.put(
                        "Context " + context,
                        methods(
                                report.results().stream()
                                        .filter(method -> method.byContext().containsKey(context))
                                        .toList(),
                                method -> method.byContext().get(context)));
            }
        }
        tables.put("Accuracy by context", accuracies(EvalReport.Method::byContext));
        tables.put("Accuracy by type", accuracies(EvalReport.Method::byType));
        return tables;
    }

    /** Whether a table has the mark that {@link #NOT_SPARSE_NOTE} explains. */
    public boolean hasMarks() {
        return all().values().stream()
                .anyMatch(rows ->
                        rows.stream().anyMatch(row -> row.stream().anyMatch(cell -> cell.endsWith(NOT_SPARSE))));
    }

    private List<List<String>> methods(List<EvalReport.Method> methods, Function<EvalReport.Method, Score> scores) {
        List<List<String>> rows = new ArrayList<>();
        List<String> header = new ArrayList<>(List.of("attention", "accuracy", "density", "traffic"));
        if (report.isProbed()) {
            header.addAll(List.of("kept mass", "output error"));
        }
        header.addAll(List.of("selection", "tokens/s", "cases"));
        rows.add(header);
        for (EvalReport.Method method : methods) {
            Score score = scores.apply(method);
            String mark = method.isMeantToBeSparse() && !score.sparse() ? NOT_SPARSE : "";
            List<String> row = new ArrayList<>(List.of(
                    method.attention(),
                    percent(score.accuracy()),
                    percent(score.density()) + mark,
                    percent(score.traffic())));
            if (report.isProbed()) {
                row.add(score.keptMass() == null ? "-" : percent(score.keptMass()));
                row.add(score.outputError() == null ? "-" : String.format(Locale.ROOT, "%.3f", score.outputError()));
            }
            row.add(score.selectionShare() == null ? "-" : percent(score.selectionShare()));
            row.add(String.format(Locale.ROOT, "%.1f", score.tokensPerSecond()));
            row.add(Integer.toString(score.cases()));
            rows.add(row);
        }
        return rows;
    }

    /** A row for each method, a column for each group. */
    private List<List<String>> accuracies(Function<EvalReport.Method, Map<String, Score>> by) {
        Set<String> groups = EvalReport.groups(report.results(), by);
        List<List<String>> rows = new ArrayList<>();
        List<String> header = new ArrayList<>(List.of("attention"));
        header.addAll(groups);
        rows.add(header);
        for (EvalReport.Method method : report.results()) {
            List<String> row = new ArrayList<>(List.of(method.attention()));
            for (String group : groups) {
                Score score = by.apply(method).get(group);
                row.add(score == null ? "-" : percent(score.accuracy()));
            }
            rows.add(row);
        }
        return rows;
    }

    private static String percent(double share) {
        return String.format(Locale.ROOT, "%.1f %%", 100 * share);
    }
}
