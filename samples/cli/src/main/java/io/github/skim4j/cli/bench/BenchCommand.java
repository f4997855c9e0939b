package io.github.skim4j.cli.bench;

import io.github.skim4j.cli.AttentionSpec;
import io.github.skim4j.cli.CacheOptions;
import io.github.skim4j.cli.DeviceOptions;
import io.github.skim4j.cli.Host;
import io.github.skim4j.cli.Json;
import io.github.skim4j.cli.ModelOptions;
import io.github.skim4j.cli.ProgressBars;
import io.github.skim4j.cli.SequenceRun;
import io.github.skim4j.cli.Table;
import io.github.skim4j.cli.Version;
import io.github.skim4j.cli.plot.Drawing;
import io.github.skim4j.engine.AttentionStats;
import io.github.skim4j.engine.SkimException;
import io.github.skim4j.engine.attention.Dense;
import io.github.skim4j.engine.backend.Backend;
import io.github.skim4j.engine.backend.BackendConfig;
import io.github.skim4j.engine.backend.Device;
import io.github.skim4j.engine.kv.KvCacheConfig;
import io.github.skim4j.engine.model.ModelConfig;
import io.github.skim4j.engine.model.ModelFile;
import io.github.skim4j.engine.model.ModelWeights;
import io.github.skim4j.engine.model.RandomWeights;
import io.github.skim4j.engine.model.ResolvedModel;
import io.github.skim4j.engine.model.TensorType;
import io.github.skim4j.engine.model.WeightFormat;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import java.util.function.ToDoubleFunction;
import me.tongfei.progressbar.ProgressBar;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Speed of prefill and decode for attention methods and depths, on the backend itself, one sequence at a time. */
@Command(
        name = "bench",
        description = {
            "Measures the speed of a model: a dense prefill of random tokens to each depth, then decode steps with each attention method.",
            "The figures are medians over the runs, in which the methods take turns, after a warm-up. A deep prefill is measured once.",
        },
        mixinStandardHelpOptions = true,
        versionProvider = Version.class)
public final class BenchCommand implements Callable<Integer> {

    private static final int WARM_UP_DEPTH = 1024;

    /** On a CPU. */
    private static final int WARM_UP_SECONDS = 3;

    /** A prefill is repeated as long as all repetitions together have no more tokens. */
    private static final int REPEATED_PREFILL = 8192;

    private static final long SEED = 42;

    private final Host host;

    @Spec
    private CommandSpec spec;

    @Mixin
    private ModelOptions model;

    @Mixin
    private DeviceOptions device;

    @Option(
            names = "--shape",
            paramLabel = "S",
            description =
                    "In place of a model: random weights of the shape llama-3.1-8b, llama-2-7b or that of a config.json; as-stored is then BF16.")
    private String shape;

    @Option(
            names = {"-a", "--attention"},
            paramLabel = "SPEC",
            arity = "1..*",
            description = "Attention methods of the decode, in turn (default: dense).")
    private List<AttentionSpec> attention = List.of(AttentionSpec.DENSE);

    @Option(
            names = {"-d", "--depth"},
            paramLabel = "N",
            required = true,
            arity = "1..*",
            description = "Tokens in the cache when the decode begins.")
    private List<Integer> depths;

    @Option(
            names = {"-n", "--tokens"},
            paramLabel = "T",
            defaultValue = "32",
            description = "Tokens to decode (default: ${DEFAULT-VALUE}).")
    private int tokens;

    @Option(
            names = {"-b", "--batch"},
            paramLabel = "B",
            defaultValue = "1",
            description = "Sequences that decode together, each with a prompt of its own (default: ${DEFAULT-VALUE}).")
    private int batch;

    @Option(
            names = "--prefill-chunk",
            paramLabel = "N",
            defaultValue = "" + SequenceRun.CHUNK,
            description = "Prompt tokens in a step (default: ${DEFAULT-VALUE}).")
    private int prefillChunk;

    @Mixin
    private CacheOptions cache;

    @Option(
            names = {"-r", "--runs"},
            paramLabel = "R",
            defaultValue = "3",
            description = "Runs, of which the median counts (default: ${DEFAULT-VALUE}).")
    private int runs;

    @Option(
            names = "--warm-up",
            paramLabel = "S",
            description =
                    "Seconds that each method decodes at each depth before it is measured (default: 3 on a CPU, as Java compiles the kernels meanwhile, else 0).")
    private Integer warmUpSeconds;

    @Option(
            names = "--bandwidth",
            paramLabel = "GB/s",
            description =
                    "Bandwidth of the device's memory: also tells how near dense attention comes to the time that reading weights, keys and values takes at least.")
    private Double bandwidth;

    @Option(
            names = "--plot",
            paramLabel = "FILE.svg",
            description =
                    "Also draw the time per token against depth, with --bandwidth also the least time with dense attention.")
    private Path plot;

    @Option(names = "--json", description = "Print one JSON object in place of the table.")
    private boolean json;

    public BenchCommand(Host host) {
        this.host = host;
    }

    @Override
    public Integer call() {
        requirePositive("--tokens", tokens);
        requirePositive("--runs", runs);
        if (warmUpSeconds != null && warmUpSeconds < 0) {
            throw new ParameterException(spec.commandLine(), "--warm-up must not be negative, but is " + warmUpSeconds);
        }
        requirePositive("--batch", batch);
        requirePositive("--prefill-chunk", prefillChunk);
        depths.forEach(depth -> requirePositive("--depth", depth));
        cache.config(0, false);
        if (bandwidth != null && !(bandwidth > 0 && Double.isFinite(bandwidth))) {
            throw new ParameterException(
                    spec.commandLine(), "--bandwidth must be a number above 0, but is " + bandwidth);
        }
        if (plot != null) {
            requireWritable(plot);
        }
        if (shape == null) {
            benchModel();
        } else if (model.isNamed()) {
            throw new ParameterException(spec.commandLine(), "--shape stands in place of --model: give one of them");
        } else {
            bench(shape, new RandomWeights(Shape.of(shape), randomType(), 1), WeightFormat.AS_STORED);
        }
        return 0;
    }

    private void requirePositive(String option, int value) {
        if (value < 1) {
            throw new ParameterException(spec.commandLine(), option + " must be 1 or more, but is " + value);
        }
    }

    /** Before a measurement that may take long. */
    private void requireWritable(Path svg) {
        if (!svg.toString().toLowerCase(Locale.ROOT).endsWith(".svg")) {
            throw new ParameterException(spec.commandLine(), "--plot must end in .svg, but is " + svg);
        }
        Path folder = svg.toAbsolutePath().getParent();
        if (!Files.isDirectory(folder)) {
            throw new SkimException(svg + " can't be written: there is no folder " + folder);
        }
        if (Files.isDirectory(svg) || !Files.isWritable(Files.exists(svg) ? svg : folder)) {
            throw new SkimException(svg + " can't be written");
        }
    }

    private TensorType randomType() {
        return switch (model.weights()) {
            case AS_STORED -> TensorType.BF16;
            case Q8_0 -> TensorType.Q8_0;
            case Q4_0 -> TensorType.Q4_0;
        };
    }

    private void benchModel() {
        try (ResolvedModel resolved = host.resolve(model.reference());
                ModelFile file = ModelFile.open(resolved.path())) {
            int longest = longest();
            if (longest > file.config().contextLength()) {
                throw new SkimException("the deepest run takes " + longest + " tokens, but " + resolved.name()
                        + " was made for at most " + file.config().contextLength() + ": lower --depth or --tokens");
            }
            bench(resolved.name(), file, model.weights());
        }
    }

    private int longest() {
        return Collections.max(depths) + BackendBench.WARM_UP_STEPS + tokens;
    }

    private void bench(String name, ModelWeights weights, WeightFormat format) {
        ModelConfig config = weights.config();
        Device chosen = Device.choose(device.device());
        KvCacheConfig kvCache = cache.config(kvBytes(config), false);
        BackendConfig backendConfig = new BackendConfig(
                chosen.ordinal(),
                device.threads(),
                longest(),
                batch,
                Math.max(batch, prefillChunk),
                kvCache,
                format,
                new Dense(),
                0);
        Floor floor = bandwidth == null
                ? null
                : Floor.of(weights, format, chosen.provider(), kvCache, batch, bandwidth * 1e9);
        try (Backend backend = chosen.provider().open(weights, backendConfig)) {
            attention.forEach(method -> backend.requireSupports(method.method()));
            BenchReport report = new BenchReport(
                    name,
                    backend.device(),
                    device.threads() > 0
                            ? device.threads()
                            : Runtime.getRuntime().availableProcessors(),
                    measure(backend, kvCache.pageSize(), config.vocabSize(), warmUpSeconds(chosen), floor));
            PrintWriter out = spec.commandLine().getOut();
            if (json) {
                Json.print(report, out);
            } else {
                print(report, out);
            }
            if (plot != null) {
                write(
                        plot,
                        Drawing.of(
                                plot.toString(),
                                () -> BenchPlot.of(report, floor).svg()));
            }
        }
    }

    private static void write(Path file, String text) {
        try {
            Files.writeString(file, text);
        } catch (IOException e) {
            throw new SkimException(file + " can't be written: " + e.getMessage(), e);
        }
    }

    /** Room for the shared prefill with the steps after it, and beside it for a run that can't share. */
    private long kvBytes(ModelConfig config) {
        int sequences = attention.stream().anyMatch(method -> SequenceRun.packs(method.method())) ? 2 : 1;
        KvCacheConfig kvCache = cache.config(0, false);
        int pageSize = kvCache.pageSize();
        return batch * sequences * (longest() / pageSize + 2L) * pageSize * kvCache.tokenBytes(config);
    }

    private int warmUpSeconds(Device chosen) {
        return warmUpSeconds != null ? warmUpSeconds : chosen.provider().name().equals("cpu") ? WARM_UP_SECONDS : 0;
    }

    private List<BenchReport.Result> measure(
            Backend backend, int pageSize, int vocabSize, int warmUpSeconds, Floor floor) {
        int[][] ids = new int[batch][];
        Arrays.setAll(
                ids,
                i -> new SplittableRandom(SEED + i)
                        .ints(longest(), 0, vocabSize)
                        .toArray());
        List<BenchReport.Result> results = new ArrayList<>();
        try (ProgressBar bar = host.errorIsTerminal()
                ? ProgressBars.steps("bench", "runs", (long) attention.size() * depths.size() * runs)
                : null) {
            warmUp(new BackendBench(
                    backend, pageSize, prefillChunk, Math.min(WARM_UP_DEPTH, Collections.max(depths)), ids));
            for (int depth : depths) {
                BackendBench bench = new BackendBench(backend, pageSize, prefillChunk, depth, ids);
                List<Long> prefills = new ArrayList<>();
                for (int i = 0; i == 0 || i < runs && (i + 1) * depth <= REPEATED_PREFILL; i++) {
                    prefills.add(bench.prefill());
                }
                warmUp(bench, warmUpSeconds);
                results.addAll(
                        results(depth, median(prefills, nanos -> depth / (nanos / 1e9)), decode(bench, bar), floor));
            }
        }
        return results;
    }

    private void warmUp(BackendBench bench) {
        bench.prefill();
        attention.forEach(method -> bench.decode(method.method(), tokens));
    }

    private void warmUp(BackendBench bench, int seconds) {
        for (AttentionSpec method : attention) {
            long start = System.nanoTime();
            while (System.nanoTime() - start < TimeUnit.SECONDS.toNanos(seconds)) {
                bench.decode(method.method(), tokens);
            }
        }
    }

    /** Runs of each method, in turn, so that what disturbs one disturbs all. */
    private List<List<BackendBench.Run>> decode(BackendBench bench, ProgressBar bar) {
        List<List<BackendBench.Run>> decodes = new ArrayList<>();
        attention.forEach(method -> decodes.add(new ArrayList<>()));
        for (int i = 0; i < runs; i++) {
            for (int m = 0; m < attention.size(); m++) {
                decodes.get(m).add(bench.decode(attention.get(m).method(), tokens));
                if (bar != null) {
                    bar.step();
                }
            }
        }
        return decodes;
    }

    private List<BenchReport.Result> results(
            int depth, double prefill, List<List<BackendBench.Run>> decodes, Floor floor) {
        List<Double> rates = decodes.stream()
                .map(measured -> median(measured, run -> batch * tokens / (run.nanos() / 1e9)))
                .toList();
        Double dense = null;
        for (int m = 0; m < rates.size(); m++) {
            dense = attention.get(m).method() instanceof Dense ? rates.get(m) : dense;
        }
        List<BenchReport.Result> results = new ArrayList<>();
        for (int m = 0; m < rates.size(); m++) {
            List<BackendBench.Run> measured = decodes.get(m);
            AttentionStats read = measured.get(0).read();
            boolean hasFloor = floor != null && attention.get(m).method() instanceof Dense;
            results.add(new BenchReport.Result(
                    attention.get(m).text(),
                    depth,
                    batch,
                    prefill,
                    rates.get(m),
                    dense == null ? null : rates.get(m) / dense,
                    hasFloor ? floor.stepSeconds(depth) * rates.get(m) / batch : null,
                    read.density(),
                    read.traffic(),
                    selectionShare(measured)));
        }
        return results;
    }

    private static Double selectionShare(List<BackendBench.Run> measured) {
        List<Double> shares = measured.stream()
                .map(run -> run.read().time().selectionShare())
                .filter(Objects::nonNull)
                .toList();
        return shares.isEmpty() ? null : median(shares, Double::doubleValue);
    }

    static <T> double median(List<T> values, ToDoubleFunction<T> figure) {
        double[] sorted = values.stream().mapToDouble(figure).sorted().toArray();
        int middle = sorted.length / 2;
        return sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }

    private void print(BenchReport report, PrintWriter out) {
        out.println(report.model() + " on " + report.device() + ", " + tokens + " tokens decoded"
                + (batch == 1 ? "" : " for each of " + batch + " sequences") + ", " + runs
                + (runs == 1 ? " run" : " runs"));
        List<String> header =
                new ArrayList<>(List.of("attention", "depth", "prefill tokens/s", "decode tokens/s", "of dense"));
        if (bandwidth != null) {
            header.add("of floor");
        }
        header.addAll(List.of("density", "traffic", "selection"));
        Table table = new Table(header.toArray(String[]::new));
        for (BenchReport.Result result : report.results()) {
            List<String> row = new ArrayList<>(List.of(
                    result.attention(),
                    Integer.toString(result.depth()),
                    String.format(Locale.ROOT, "%.1f", result.prefillTokensPerSecond()),
                    String.format(Locale.ROOT, "%.1f", result.decodeTokensPerSecond()),
                    result.relativeToDense() == null
                            ? "-"
                            : String.format(Locale.ROOT, "%.2f x", result.relativeToDense())));
            if (bandwidth != null) {
                row.add(percent(result.ofFloor()));
            }
            row.addAll(List.of(percent(result.density()), percent(result.traffic()), percent(result.selectionShare())));
            table.row(row.toArray(String[]::new));
        }
        table.print(out);
    }

    private static String percent(Double share) {
        return share == null ? "-" : String.format(Locale.ROOT, "%.1f %%", 100 * share);
    }
}
