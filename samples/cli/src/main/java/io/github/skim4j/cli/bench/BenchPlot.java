package io.github.skim4j.cli.bench;

import io.github.skim4j.cli.plot.LinePlot;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.knowm.xchart.XYSeries;
import org.knowm.xchart.style.Styler;
import org.knowm.xchart.style.XYStyler;

/** Time per token against depth: a line for each attention method, a point for each depth. */
final class BenchPlot {

    private static final int WIDTH = 760;
    private static final int HEIGHT = 420;

    /** The legend has a line for each method below the plot, since specs are long. */
    private static final int LEGEND_LINE = 23;

    private static final double HEADROOM = 1.05;

    private BenchPlot() {}

    /** @param floor the least time with dense attention; {@code null} if it is not known */
    static LinePlot of(BenchReport report, Floor floor) {
        Map<String, List<BenchReport.Result>> methods = report.results().stream()
                .sorted(Comparator.comparingInt(BenchReport.Result::depth))
                .collect(Collectors.groupingBy(BenchReport.Result::attention, LinkedHashMap::new, Collectors.toList()));
        SortedMap<Integer, String> depths = new TreeMap<>();
        report.results().forEach(result -> depths.put(result.depth(), tokens(result.depth())));
        int batch = report.results().get(0).batch();
        LinePlot plot = new LinePlot(
                WIDTH,
                HEIGHT + LEGEND_LINE * (methods.size() + (floor == null ? 0 : 1)),
                report.model() + " on " + report.device(),
                "depth, tokens",
                "time per token" + (batch == 1 ? "" : " of each of " + batch + " sequences") + ", ms");
        XYStyler styler = plot.chart().getStyler();
        styler.setLegendPosition(Styler.LegendPosition.OutsideS);
        styler.setLegendLayout(Styler.LegendLayout.Vertical);
        plot.logarithmicX(depths);
        methods.forEach((method, results) -> plot.line(
                method,
                results.stream().mapToDouble(BenchReport.Result::depth).toArray(),
                results.stream()
                        .mapToDouble(result -> 1e3 * result.stepSeconds())
                        .toArray()));
        if (floor != null) {
            plot.reference(
                    "floor, dense",
                    depths.keySet().stream().mapToDouble(Integer::doubleValue).toArray(),
                    depths.keySet().stream()
                            .mapToDouble(depth -> 1e3 * floor.stepSeconds(depth))
                            .toArray());
        }
        plot.chart().getSeriesMap().values().stream()
                .mapToDouble(XYSeries::getYMax)
                .max()
                .ifPresent(most -> styler.setYAxisMax(HEADROOM * most));
        return plot;
    }

    private static String tokens(int depth) {
        return depth % 1024 == 0 ? depth / 1024 + "K" : Integer.toString(depth);
    }
}
