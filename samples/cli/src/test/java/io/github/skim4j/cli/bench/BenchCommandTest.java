package io.github.skim4j.cli.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.withinPercentage;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.skim4j.cli.CommandRun;
import io.github.skim4j.cli.ScriptedEngine;
import io.github.skim4j.engine.model.ModelConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class BenchCommandTest {

    private static final String TINY = "src/test/resources/tiny-config.json";

    @TempDir
    Path folder;

    private static CommandRun bench(String... args) {
        String[] all = new String[args.length + 3];
        all[0] = "bench";
        all[1] = "--warm-up";
        all[2] = "0";
        System.arraycopy(args, 0, all, 3, args.length);
        return CommandRun.of(new ScriptedEngine(message -> message), all);
    }

    @Test
    void jsonHasTheFieldsOfTheContract() throws IOException {
        CommandRun run = bench(
                "--shape",
                TINY,
                "--weights",
                "q4_0",
                "--depth",
                "40",
                "100",
                "--attention",
                "dense",
                "streaming-llm:budget=16",
                "--tokens",
                "4",
                "--runs",
                "2",
                "--threads",
                "1",
                "--device",
                "cpu",
                "--json");
        assertThat(run.exit()).as(run.err()).isZero();
        assertThat(run.err()).isEmpty();
        JsonNode json = run.json();
        assertThat(json.fieldNames()).toIterable().containsExactly("model", "device", "threads", "results");
        assertThat(json.path("model").textValue()).isEqualTo(TINY);
        assertThat(json.path("device").textValue()).contains("CPU");
        assertThat(json.path("threads").intValue()).isEqualTo(1);
        assertThat(json.path("results")).hasSize(4).allSatisfy(result -> {
            assertThat(result.fieldNames())
                    .toIterable()
                    .containsExactly(
                            "attention",
                            "depth",
                            "batch",
                            "prefill_tokens_per_second",
                            "decode_tokens_per_second",
                            "relative_to_dense",
                            "of_floor",
                            "density",
                            "traffic",
                            "selection_share");
            assertThat(result.path("prefill_tokens_per_second").doubleValue()).isPositive();
            assertThat(result.path("decode_tokens_per_second").doubleValue()).isPositive();
        });
        assertThat(json.path("results").findValuesAsText("attention"))
                .containsExactly("dense", "streaming-llm:budget=16", "dense", "streaming-llm:budget=16");
        assertThat(json.path("results").findValuesAsText("depth")).containsExactly("40", "40", "100", "100");
        assertThat(json.path("results").path(0).path("selection_share").isNull())
                .as("dense attention selects nothing")
                .isTrue();
        assertThat(json.path("results").path(1).path("selection_share").doubleValue())
                .isPositive();
        assertThat(json.path("results").path(0).path("density").doubleValue()).isEqualTo(1);
        assertThat(json.path("results").path(0).path("relative_to_dense").doubleValue())
                .isEqualTo(1);
        assertThat(json.path("results"))
                .as("no bandwidth is given")
                .allMatch(result -> result.path("of_floor").isNull());
        // 16 of the 43 to 46 and of the 103 to 106 tokens that there are.
        assertThat(json.path("results").path(1).path("density").doubleValue()).isBetween(16 / 46.0, 16 / 43.0);
        assertThat(json.path("results").path(3).path("density").doubleValue()).isBetween(16 / 106.0, 16 / 103.0);
    }

    @Test
    void tableHasARowForEachDepth() {
        CommandRun run = bench("--shape", TINY, "--depth", "24", "--tokens", "2", "--runs", "1");
        assertThat(run.exit()).as(run.err()).isZero();
        assertThat(run.out().lines())
                .anyMatch(line -> line.startsWith(TINY + " on CPU") && line.endsWith("2 tokens decoded, 1 run"))
                .anyMatch(line -> line.matches("dense +24 +[\\d.]+ +[\\d.]+ +1\\.00 x +100\\.0 % +100\\.0 % +-"));
    }

    @Test
    void theCacheIsOfTheTypeAndPageSizeThatAreAskedFor() throws IOException {
        String[] args = {
            "--shape",
            TINY,
            "--depth",
            "100",
            "--tokens",
            "4",
            "--runs",
            "1",
            "--attention",
            "quest:budget=32,dense-layers=0"
        };
        assertThat(density(concat(args, "--page-size", "8", "--kv-type", "f32", "--json")))
                .as("pages are read whole, so that it depends on their size")
                .isNotEqualTo(density(concat(args, "--page-size", "32", "--json")));
        assertThat(bench(concat(args, "--page-size", "12")).err())
                .contains("page-size must be 8, 16, 32 or 64, but is 12");
        assertThat(bench(concat(args, "--kv-type", "fp8", "--device", "cpu")).err())
                .contains("no kv-cache.type FP8");
    }

    @Test
    void aMethodThatTheModelLacksDataForSaysSo() {
        CommandRun run = bench("--shape", TINY, "--depth", "24", "--attention", "double-sparsity:budget=16");
        assertThat(run.exit()).isNotZero();
        assertThat(run.err()).contains("'skim calibrate'").doesNotContain("unexpected");
    }

    private static double density(String... args) throws IOException {
        return bench(args).json().path("results").path(0).path("density").doubleValue();
    }

    private static String[] concat(String[] first, String... more) {
        return Stream.concat(Stream.of(first), Stream.of(more)).toArray(String[]::new);
    }

    @Test
    void theFloorIsThatOfDenseAttention() throws IOException {
        String[] args = {
            "--shape",
            TINY,
            "--depth",
            "24",
            "--attention",
            "dense",
            "streaming-llm:budget=16",
            "--tokens",
            "2",
            "--runs",
            "1",
            "--batch",
            "2",
            "--bandwidth",
            "0.001",
            "--device",
            "cpu"
        };
        assertThat(bench(args).out().lines())
                .anyMatch(line -> line.matches("attention .* of dense +of floor +density .*"))
                .anyMatch(line -> line.matches("dense +24 +[\\d.]+ +[\\d.]+ +1\\.00 x +[\\d.]+ % +100\\.0 % .*"))
                .anyMatch(line -> line.matches("streaming-llm:budget=16 +24 .* x +- +[\\d.]+ % .*"));
        JsonNode results = bench(concat(args, "--json")).json().path("results");
        // Bytes of the matrices in BF16 with the embedding, which is the output too, and of the keys and values of two
        // sequences.
        double floor = (2 * (61_440 + 20_480) + 2 * 24 * 256) / 1e6;
        double step = 2 / results.path(0).path("decode_tokens_per_second").doubleValue();
        assertThat(results.path(0).path("of_floor").doubleValue()).isCloseTo(floor / step, withinPercentage(0.001));
        assertThat(results.path(1).path("of_floor").isNull()).isTrue();
    }

    @ParameterizedTest
    @ValueSource(strings = {"0", "-3350", "NaN", "Infinity"})
    void aBandwidthIsAboveZero(String bandwidth) {
        CommandRun run = bench("--shape", TINY, "--depth", "8", "--bandwidth", bandwidth);
        assertThat(run.exit()).isEqualTo(2);
        assertThat(run.out()).isEmpty();
        assertThat(run.err()).contains("--bandwidth must be a number above 0, but is ");
    }

    @Test
    void thePlotIsAFileBesideTheTable() throws IOException {
        Path plot = folder.resolve("bench.svg");
        Files.writeString(plot, "an older one");
        CommandRun run = bench(
                "--shape",
                TINY,
                "--depth",
                "24",
                "48",
                "--tokens",
                "2",
                "--runs",
                "1",
                "--device",
                "cpu",
                "--plot",
                plot.toString());
        assertThat(run.exit()).as(run.err()).isZero();
        assertThat(run.out()).contains("dense");
        assertThat(plot).content().startsWith("<svg").contains("aria-label=\"" + TINY + " on CPU");
    }

    @Test
    void aPlotThatCouldNotBeWrittenIsRefusedBeforeTheRun() throws IOException {
        Path taken = Files.createDirectory(folder.resolve("folder.svg"));
        CommandRun kind = bench("--shape", TINY, "--depth", "8", "--plot", "bench.png");
        assertThat(kind.exit()).isEqualTo(2);
        assertThat(kind.out()).isEmpty();
        assertThat(kind.err()).contains("--plot must end in .svg, but is bench.png");
        for (Path plot : List.of(folder.resolve("missing/bench.svg"), taken)) {
            CommandRun run = bench("--shape", TINY, "--depth", "8", "--plot", plot.toString());
            assertThat(run.exit()).isEqualTo(1);
            assertThat(run.out()).isEmpty();
            assertThat(run.err()).contains(plot + " can't be written");
        }
    }

    @Test
    void unknownShapesListTheKnownOnes() {
        CommandRun run = bench("--shape", "llama-9", "--depth", "8");
        assertThat(run.exit()).isEqualTo(1);
        assertThat(run.err().lines())
                .singleElement()
                .asString()
                .contains("'llama-9'")
                .contains("llama-2-7b, llama-3.1-8b");
    }

    @Test
    void knownShapesHaveTheModelsNumbersOfParameters() {
        assertThat(parameters(Shape.of("llama-2-7b"))).isEqualTo(6_738_415_616L);
        assertThat(parameters(Shape.of("llama-3.1-8b"))).isEqualTo(8_030_261_248L);
        assertThat(Shape.of(TINY)).isEqualTo(ModelConfig.read(Path.of(TINY)));
    }

    private static long parameters(ModelConfig config) {
        long hidden = config.hiddenSize();
        long attention = 2 * hidden * config.headDim() * (config.heads() + config.kvHeads());
        long feedForward = 3 * hidden * config.intermediateSize();
        return config.layers() * (attention + feedForward + 2 * hidden) + hidden + 2 * hidden * config.vocabSize();
    }

    @Test
    void medianIsTheMiddleOrTheMeanOfTheTwo() {
        assertThat(BenchCommand.median(List.of(3, 1, 8), Integer::doubleValue)).isEqualTo(3);
        assertThat(BenchCommand.median(List.of(3, 1, 8, 4), Integer::doubleValue))
                .isEqualTo(3.5);
    }
}
