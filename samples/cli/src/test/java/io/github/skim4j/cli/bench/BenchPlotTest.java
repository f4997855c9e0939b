package io.github.skim4j.cli.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.io.StringReader;
import java.util.ArrayList;
import java.util.List;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYSeries;
import org.w3c.dom.Element;
import org.xml.sax.InputSource;

class BenchPlotTest {

    private static final Floor FLOOR =
            new Floor(Shape.of("llama-3.1-8b"), 4_220_000_000L, 131_072, 1, 4_800_000_000_000.0);

    private static BenchReport report(int batch, List<String> methods, int... depths) {
        List<BenchReport.Result> results = new ArrayList<>();
        for (int depth : depths) {
            for (int m = 0; m < methods.size(); m++) {
                double seconds = (2 + m + depth / (16_384.0 * (1 + m))) / 1e3;
                results.add(new BenchReport.Result(
                        methods.get(m), depth, batch, 1000, batch / seconds, 1.0, null, 1, 1, null));
            }
        }
        return new BenchReport("llama <8b>", "NVIDIA H200", 2, results);
    }

    private static XYChart chart(BenchReport report, Floor floor) {
        return BenchPlot.of(report, floor).chart();
    }

    @Test
    void aLineForEachMethodInTheirOrder() {
        XYChart chart = chart(report(1, List.of("quest:budget=2048", "dense"), 32_768, 1024, 131_072), null);
        assertThat(chart.getSeriesMap().keySet()).containsExactly("quest:budget=2048", "dense");
        XYSeries dense = chart.getSeriesMap().get("dense");
        assertThat(dense.getXData()).as("by depth").containsExactly(1024, 32_768, 131_072);
        assertThat(dense.getYData())
                .as("milliseconds")
                .containsExactly(new double[] {3 + 1 / 32.0, 4, 7}, within(1e-9));
    }

    @Test
    void labelsSayWhatIsPlotted() {
        XYChart chart = chart(report(1, List.of("dense"), 1024, 8192), null);
        assertThat(chart.getTitle()).isEqualTo("llama <8b> on NVIDIA H200");
        assertThat(chart.getXAxisTitle()).isEqualTo("depth, tokens");
        assertThat(chart.getYAxisTitle()).isEqualTo("time per token, ms");
        assertThat(chart.getStyler().isXAxisLogarithmic()).isTrue();
    }

    @Test
    void aTokenOfEachOfSeveralSequencesTakesAStep() {
        XYChart chart = chart(report(8, List.of("dense"), 16_384), null);
        assertThat(chart.getYAxisTitle()).isEqualTo("time per token of each of 8 sequences, ms");
        assertThat(chart.getSeriesMap().get("dense").getYData()).containsExactly(new double[] {3}, within(1e-9));
    }

    @Test
    void theFloorIsThereWhereItIsKnown() {
        BenchReport report = report(1, List.of("sketch:budget=3%", "dense"), 1024, 131_072);
        XYChart chart = chart(report, FLOOR);
        assertThat(chart.getSeriesMap().keySet()).containsExactly("sketch:budget=3%", "dense", "floor, dense");
        XYSeries floor = chart.getSeriesMap().get("floor, dense");
        assertThat(floor.getXData()).containsExactly(1024, 131_072);
        assertThat(floor.getYData()).containsExactly(1e3 * FLOOR.stepSeconds(1024), 1e3 * FLOOR.stepSeconds(131_072));
    }

    @Test
    void theFileIsXmlThatNeedsNothingElse() throws Exception {
        String svg = BenchPlot.of(report(1, List.of("dense", "dense", "quest:budget=2048"), 3000, 131_072, 1024), FLOOR)
                .svg();
        Element root = DocumentBuilderFactory.newInstance()
                .newDocumentBuilder()
                .parse(new InputSource(new StringReader(svg)))
                .getDocumentElement();
        assertThat(root.getTagName()).isEqualTo("svg");
        assertThat(root.getAttribute("aria-label")).isEqualTo("llama <8b> on NVIDIA H200");
        assertThat(List.of("<script", "href=", "@import", "<text")).noneMatch(svg::contains);
    }

    @Test
    void oneDepthMakesAPlotToo() {
        assertThat(BenchPlot.of(report(1, List.of("dense"), 32_600), null).svg())
                .startsWith("<svg");
    }
}
