package io.github.skim4j.cli.eval.report;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A report as one HTML page that needs nothing else: plots, tables and settings. */
public final class ReportPage {

    private static final String STYLE = """
            :root { color-scheme: light; }
            body { font: 15px/1.5 system-ui, sans-serif; color: #1c2024; max-width: 1320px; margin: 2rem auto; padding: 0 1.5rem; }
            h1 { font-size: 1.6rem; margin-bottom: .2rem; }
            h2 { font-size: 1.15rem; margin-top: 2.2rem; }
            .about { color: #555; margin-top: 0; }
            .plots { display: flex; flex-wrap: wrap; gap: 1rem; }
            .plots svg { border: 1px solid #e3e3e3; border-radius: 6px; max-width: 100%; height: auto; }
            .scroll { overflow-x: auto; }
            table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem; }
            th, td { padding: .3rem .8rem; border-bottom: 1px solid #e3e3e3; text-align: right; white-space: nowrap; }
            th { border-bottom: 2px solid #999; font-weight: 600; }
            th:first-child, td:first-child { text-align: left; }
            tbody tr:hover { background: #f5f7fa; }
            dt { font-weight: 600; } dd { margin: 0 0 .5rem 0; }
            """;

    private static final Map<String, String> COLUMNS = columns();

    private ReportPage() {}

    public static String of(EvalReport report) {
        ReportTables tables = new ReportTables(report);
        StringBuilder page = new StringBuilder("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                + "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>");
        page.append(escape("Sparse attention: " + report.model()));
        page.append("</title>\n<style>\n").append(STYLE).append("</style>\n</head>\n<body>\n");
        page.append("<h1>")
                .append(escape("Sparse attention: " + report.model()))
                .append("</h1>\n<p class=\"about\">");
        page.append(escape(report.device() + "; weights " + report.weights() + "; keys and values in " + report.kvType()
                + ", " + report.pageSize() + " tokens a page; protocol " + report.protocol() + ", in which "
                + (report.protocol().equals("question")
                        ? "the documents are attended densely, the question and the answer by the method"
                        : "the whole prompt is attended densely, the answer by the method")
                + ". " + report.program() + ", " + report.date() + "."));
        page.append("</p>\n");
        plots(report, page);
        tables.all().forEach((title, rows) -> table(title, rows, page));
        if (tables.hasMarks()) {
            page.append("<p>").append(escape(ReportTables.NOT_SPARSE_NOTE)).append(".</p>\n");
        }
        page.append("<h2>What the columns say</h2>\n<dl>\n");
        COLUMNS.forEach((column, meaning) -> page.append("<dt>")
                .append(escape(column))
                .append("</dt><dd>")
                .append(escape(meaning))
                .append("</dd>\n"));
        page.append("</dl>\n<h2>Methods with all their settings</h2>\n<ul>\n");
        report.results()
                .forEach(method ->
                        page.append("<li><code>").append(escape(method.spec())).append("</code></li>\n"));
        return page.append("</ul>\n</body>\n</html>\n").toString();
    }

    private static Map<String, String> columns() {
        Map<String, String> columns = new LinkedHashMap<>();
        columns.put("accuracy", "mean share of the expected values that stand in the answer, ignoring case");
        columns.put("density", "keys and values that were attended, of those that dense attention would have attended");
        columns.put(
                "traffic",
                "bytes that were read, of the selection too, relative to the keys and values of dense attention");
        columns.put("kept mass", "share of the attention that falls on what was attended, on a sample of steps");
        columns.put("output error", "relative error of a head's output against dense attention, on the same sample");
        columns.put(
                "selection",
                "share of attention's time that goes into finding out what to read, where it was measured");
        columns.put("tokens/s", "tokens after an answer's first, a second; the prompt is not in it");
        return columns;
    }

    private static void plots(EvalReport report, StringBuilder page) {
        List<String> plots = new ArrayList<>();
        for (String context : EvalReport.groups(report.results(), EvalReport.Method::byContext)) {
            plots.add(Plots.accuracyAgainst("density", context, Score::density, report.results()));
            plots.add(Plots.accuracyAgainst("traffic", context, Score::traffic, report.results()));
        }
        plots.removeIf(String::isEmpty);
        if (!plots.isEmpty()) {
            page.append("<h2>Accuracy and what it costs</h2>\n<div class=\"plots\">\n");
            plots.forEach(plot -> page.append(plot).append('\n'));
            page.append("</div>\n");
        }
    }

    private static void table(String title, List<List<String>> rows, StringBuilder page) {
        page.append("<h2>").append(escape(title)).append("</h2>\n<div class=\"scroll\"><table>\n<thead>");
        row(rows.get(0), "th", page);
        page.append("</thead>\n<tbody>\n");
        rows.subList(1, rows.size()).forEach(row -> row(row, "td", page));
        page.append("</tbody>\n</table></div>\n");
    }

    private static void row(List<String> cells, String tag, StringBuilder page) {
        page.append("<tr>");
        cells.forEach(cell -> page.append('<')
                .append(tag)
                .append('>')
                .append(escape(cell))
                .append("</")
                .append(tag)
                .append('>'));
        page.append("</tr>\n");
    }

    private static String escape(String text) {
        return text.replace("&", "&amp;")
                .replace("<", "&lt;")
                .replace(">", "&gt;")
                .replace("\"", "&quot;");
    }
}
