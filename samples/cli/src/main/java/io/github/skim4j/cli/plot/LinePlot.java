package io.github.skim4j.cli.plot;

import java.awt.BasicStroke;
import java.awt.Color;
import java.awt.Dimension;
import java.awt.Font;
import java.awt.Graphics2D;
import java.awt.font.GlyphVector;
import java.awt.geom.Line2D;
import java.io.StringWriter;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
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

/** Lines with points, as SVG; how the program's plots look. */
public final class LinePlot {

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

    /** Room on both sides of a logarithmic axis, as a factor. */
    private static final double MARGIN = 1.2;

    private static final int TICK = 4;
    private static final int LABEL_GAP = 6;

    private final XYChart chart;
    private SortedMap<Integer, String> xTicks = new TreeMap<>();
    private int lines;

    public LinePlot(int width, int height, String title, String xTitle, String yTitle) {
        chart = new XYChartBuilder()
                .width(width)
                .height(height)
                .title(title)
                .xAxisTitle(xTitle)
                .yAxisTitle(yTitle)
                .build();
        style(chart.getStyler());
    }

    private static void style(XYStyler styler) {
        Font font = new Font(Font.SANS_SERIF, Font.PLAIN, 12);
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

    /** What is drawn, for all that only one kind of plot has. */
    public XYChart chart() {
        return chart;
    }

    /**
     * Makes x logarithmic, with ticks at these values alone, and lets y begin at 0. The chart itself can't place ticks: its own stay
     * blank, and {@link #svg} draws these.
     */
    public void logarithmicX(SortedMap<Integer, String> ticks) {
        xTicks = ticks;
        XYStyler styler = chart.getStyler();
        styler.setXAxisLogarithmic(true);
        styler.setXAxisMin(ticks.firstKey() / MARGIN);
        styler.setXAxisMax(ticks.lastKey() * MARGIN);
        styler.setxAxisTickLabelsFormattingFunction(x -> " ");
        styler.setYAxisMin(0.0);
        styler.setPlotMargin(0);
        // Not all of the plot: the label of a tick on the border would be left out.
        styler.setPlotContentSize(0.999);
        styler.setAxisTitlePadding(styler.getAxisTitlePadding() + TICK);
        styler.setPlotGridVerticalLinesVisible(false);
        styler.setAxisTicksMarksVisible(false);
    }

    private void drawXTicks(Graphics2D graphics) {
        XYStyler styler = chart.getStyler();
        Font font = styler.getAxisTickLabelsFont();
        graphics.setStroke(styler.getAxisTickMarksStroke());
        double axis = chart.getScreenYFromChart(0);
        double free = 0;
        for (Map.Entry<Integer, String> tick : xTicks.entrySet()) {
            double x = chart.getScreenXFromChart(tick.getKey());
            graphics.setColor(styler.getAxisTickMarksColor());
            graphics.draw(new Line2D.Double(x, axis, x, axis + TICK));
            GlyphVector label = font.createGlyphVector(graphics.getFontRenderContext(), tick.getValue());
            double width = label.getLogicalBounds().getWidth();
            double left = x - width / 2;
            if (left >= free) {
                graphics.setColor(styler.getAxisTickLabelsColor());
                graphics.fill(label.getOutline((float) left, (float) (axis + TICK + font.getSize())));
                free = left + width + LABEL_GAP;
            }
        }
    }

    /** A line in the next colour with the next marker. */
    public void line(String name, double[] x, double[] y) {
        Color colour = COLOURS[lines % COLOURS.length];
        XYSeries series = chart.addSeries(name, x, y);
        series.setLineColor(colour);
        series.setMarkerColor(colour);
        series.setMarker(MARKERS[lines % MARKERS.length]);
        series.setLineStyle(new BasicStroke(1.8f));
        lines++;
    }

    /** A line of what the others are compared with: dashed, without points. */
    public void reference(String name, double[] x, double[] y) {
        XYSeries series = chart.addSeries(name, x, y);
        series.setMarker(SeriesMarkers.NONE);
        series.setLineColor(Color.DARK_GRAY);
        series.setLineStyle(
                new BasicStroke(1.2f, BasicStroke.CAP_BUTT, BasicStroke.JOIN_MITER, 1, new float[] {5, 4}, 0));
    }

    /**
     * An {@code <svg>} element. Text becomes outlines, so that it looks the same with any fonts; a label says it to those who can't
     * see it.
     */
    public String svg() {
        int width = chart.getWidth();
        int height = chart.getHeight();
        try {
            SVGGeneratorContext context = SVGGeneratorContext.createDefault(
                    DocumentBuilderFactory.newInstance().newDocumentBuilder().newDocument());
            context.setIDGenerator(new UniqueIds(chart.getTitle()));
            SVGGraphics2D graphics = new SVGGraphics2D(context, false);
            chart.paint(graphics, width, height);
            drawXTicks(graphics);
            graphics.setSVGCanvasSize(new Dimension(width, height));
            Element root = graphics.getRoot();
            root.setAttribute("viewBox", "0 0 " + width + " " + height);
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

    /** Ids of one plot, which may share its page with others. */
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
