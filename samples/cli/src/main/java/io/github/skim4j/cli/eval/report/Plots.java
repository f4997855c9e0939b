package io.github.skim4j.cli.eval.report;

import java.awt.BasicStroke;
import java.awt.Color;
import java.awt.Dimension;
import java.awt.Font;
import java.io.StringWriter;
import java.text.DecimalFormat;
import java.text.DecimalFormatSymbols;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.ToDoubleFunction;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.parsers.ParserConfigurationException;
import org.apache.batik.svggen.SVGGeneratorContext;
import org.apache.batik.svggen.SVGGraphics2D;
import org.apache.batik.svggen.SVGGraphics2DIOException;
import org.apache.batik.svggen.SVGIDGenerator;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.XYSeries;
import org.knowm.xchart.style.Styler;
import org.knowm.xchart.style.XYStyler;
import org.knowm.xchart.style.markers.Marker;
import org.knowm.xchart.style.markers.SeriesMarkers;
import org.w3c.dom.Element;

/** Accuracy against what a method read, as SVG: a line for each method, a point for each budget. */
final class Plots {

    private static final int WIDTH = 620;
    private static final int HEIGHT = 400;

    /** Okabe and Ito's colours, which most colour-blind people tell apart; yellow is too pale for a line. */
    private static final Color[] COLOURS = {
        new Color(0x0072B2),
        new Color(0xD55E00),
        new Color(0x009E73),
        new Color(0xCC79A7),
        new Color(0xE69F00),
        new Color(0x56B4E9),
        new Color(0x7F3C8D),
        new Color(0x666666),
    };

    private static final Marker[] MARKERS = {
        SeriesMarkers.CIRCLE,
        SeriesMarkers.SQUARE,
        SeriesMarkers.DIAMOND,
        SeriesMarkers.TRIANGLE_UP,
        SeriesMarkers.TRIANGLE_DOWN,
    };

    private Plots() {}

    /**
     * @param x what to plot accuracy against, a share 0 … 1
     * @return an {@code <svg>} element, or an empty string if no method has a score in this context
     */
    static String accuracyAgainst(
            String title, String context, ToDoubleFunction<Score> x, List<EvalReport.Method> methods) {
        XYChart chart = new XYChartBuilder()
                .width(WIDTH)
                .height(HEIGHT)
                .title("Accuracy and " + title + ", context " + context)
                .xAxisTitle(title + ", % of dense")
                .yAxisTitle("accuracy, %")
                .build();
        style(chart.getStyler());
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
        chart.getStyler().setXAxisMin(Math.floor(least));
        if (dense != null) {
            double[] ends = {least, 0};
            double[] level = {100 * dense.accuracy(), 100 * dense.accuracy()};
            XYSeries line = chart.addSeries("dense", ends, level);
            line.setMarker(SeriesMarkers.NONE);
            line.setLineColor(Color.DARK_GRAY);
            line.setLineStyle(
                    new BasicStroke(1.2f, BasicStroke.CAP_BUTT, BasicStroke.JOIN_MITER, 1, new float[] {5, 4}, 0));
        }
        int index = 0;
        for (Map.Entry<String, List<Score>> family : families.entrySet()) {
            List<Score> scores = family.getValue();
            scores.sort(Comparator.comparingDouble(x));
            XYSeries series = chart.addSeries(
                    family.getKey(),
                    scores.stream().mapToDouble(x).map(Plots::halvings).toArray(),
                    scores.stream().mapToDouble(score -> 100 * score.accuracy()).toArray());
            Color colour = COLOURS[index % COLOURS.length];
            series.setLineColor(colour);
            series.setMarkerColor(colour);
            series.setMarker(MARKERS[index % MARKERS.length]);
            series.setLineStyle(new BasicStroke(1.8f));
            index++;
        }
        return svg(chart);
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

    private static void style(XYStyler styler) {
        Font font = new Font(Font.SANS_SERIF, Font.PLAIN, 12);
        styler.setxAxisTickLabelsFormattingFunction(Plots::percentOfHalvings);
        styler.setXAxisMax(0.0);
        styler.setYAxisMin(0.0);
        styler.setYAxisMax(100.0);
        styler.setChartBackgroundColor(Color.WHITE);
        styler.setPlotBorderVisible(false);
        styler.setPlotGridLinesColor(new Color(0xDDDDDD));
        styler.setAxisTickLabelsFont(font);
        styler.setAxisTitleFont(font);
        styler.setChartTitleFont(font.deriveFont(Font.BOLD, 14));
        styler.setLegendFont(font);
        styler.setLegendBorderColor(Color.WHITE);
        styler.setLegendPosition(Styler.LegendPosition.OutsideE);
        styler.setMarkerSize(7);
    }

    /** Text becomes outlines, so that the page looks the same with any fonts; a label says it to those who can't see it. */
    private static String svg(XYChart chart) {
        try {
            SVGGeneratorContext context = SVGGeneratorContext.createDefault(
                    DocumentBuilderFactory.newInstance().newDocumentBuilder().newDocument());
            context.setIDGenerator(new UniqueIds(chart.getTitle()));
            SVGGraphics2D graphics = new SVGGraphics2D(context, false);
            chart.paint(graphics, WIDTH, HEIGHT);
            graphics.setSVGCanvasSize(new Dimension(WIDTH, HEIGHT));
            Element root = graphics.getRoot();
            root.setAttribute("viewBox", "0 0 " + WIDTH + " " + HEIGHT);
            root.setAttribute("role", "img");
            root.setAttribute("aria-label", chart.getTitle());
            StringWriter svg = new StringWriter();
            graphics.stream(root, svg, true, false);
            String text = svg.toString();
            return text.substring(text.indexOf("<svg"));
        } catch (ParserConfigurationException | SVGGraphics2DIOException e) {
            throw new IllegalStateException("a plot can't be drawn", e);
        }
    }

    /** Ids of one plot, which shares its page with others. */
    private static final class UniqueIds extends SVGIDGenerator {

        private final String plot;

        UniqueIds(String title) {
            plot = title.replaceAll("[^A-Za-z0-9]", "-") + "-";
        }

        @Override
        public String generateID(String prefix) {
            return plot + super.generateID(prefix);
        }
    }
}
