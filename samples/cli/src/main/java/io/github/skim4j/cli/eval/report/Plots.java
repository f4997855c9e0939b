package io.github.skim4j.cli.eval.report;

import io.github.skim4j.cli.plot.LinePlot;
import java.text.DecimalFormat;
import java.text.DecimalFormatSymbols;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.ToDoubleFunction;
import org.knowm.xchart.style.XYStyler;

/** Accuracy against what a method read: a line for each method, a point for each budget. */
final class Plots {

    private static final int WIDTH = 620;
    private static final int HEIGHT = 400;

    private Plots() {}

    /**
     * @param x what to plot accuracy against, a share 0 … 1
     * @return an {@code <svg>} element, or an empty string if no method has a score in this context
     */
    static String accuracyAgainst(
            String title, String context, ToDoubleFunction<Score> x, List<EvalReport.Method> methods) {
        double least = -1;
        Map<String, List<Score>> families = new LinkedHashMap<>();
        Score dense = null;
        for (EvalReport.Method method : methods) {
            Score score = method.byContext().get(context);
            if (score == null) {
                continue;
            }
            if (!method.isMeantToBeSparse()) {
                dense = score;
            } else if (score.sparse()) {
                families.computeIfAbsent(method.family(), name -> new ArrayList<>())
                        .add(score);
                least = Math.min(least, halvings(x.applyAsDouble(score)));
            }
        }
        if (families.isEmpty()) {
            return "";
        }
        LinePlot plot = new LinePlot(
                WIDTH, HEIGHT, "Accuracy and " + title + ", context " + context, title + ", % of dense", "accuracy, %");
        scale(plot.chart().getStyler(), least);
        if (dense != null) {
            double level = 100 * dense.accuracy();
            plot.reference("dense", new double[] {least, 0}, new double[] {level, level});
        }
        families.forEach((family, scores) -> {
            scores.sort(Comparator.comparingDouble(x));
            plot.line(
                    family,
                    scores.stream().mapToDouble(x).map(Plots::halvings).toArray(),
                    scores.stream().mapToDouble(score -> 100 * score.accuracy()).toArray());
        });
        return plot.svg();
    }

    /** A share's place on the axis, on which each unit to the left is a half: 0 for all of it, -1 for 50 %, -2 for 25 %. */
    private static double halvings(double share) {
        return Math.log(share) / Math.log(2);
    }

    /** A tick's label; blank, since it must not be empty, between the halves. */
    private static String percentOfHalvings(double halvings) {
        if (Math.abs(halvings - Math.rint(halvings)) > 1e-6) {
            return " ";
        }
        return new DecimalFormat("0.##", DecimalFormatSymbols.getInstance(Locale.ROOT))
                .format(100 * Math.pow(2, Math.rint(halvings)));
    }

    private static void scale(XYStyler styler, double leastHalvings) {
        styler.setxAxisTickLabelsFormattingFunction(Plots::percentOfHalvings);
        styler.setXAxisMin(Math.floor(leastHalvings));
        styler.setXAxisMax(0.0);
        styler.setYAxisMin(0.0);
        styler.setYAxisMax(100.0);
    }
}
