package io.github.skim4j.cli.inspect;

import io.github.skim4j.cli.Host;
import io.github.skim4j.cli.Json;
import io.github.skim4j.cli.Table;
import io.github.skim4j.cli.Version;
import io.github.skim4j.cli.WeightFormats;
import io.github.skim4j.engine.model.ModelConfig;
import io.github.skim4j.engine.model.ModelFile;
import io.github.skim4j.engine.model.ResolvedModel;
import io.github.skim4j.engine.model.Rope;
import io.github.skim4j.engine.model.TensorType;
import io.github.skim4j.engine.model.WeightFormat;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** What a model is, without loading its weights. */
@Command(
        name = "inspect",
        description = "Shows a model's configuration, tensors, tokenizer, chat template and the memory that it takes.",
        mixinStandardHelpOptions = true,
        versionProvider = Version.class)
public final class InspectCommand implements Callable<Integer> {

    private static final int SMALLEST_CONTEXT = 4096;

    private final Host host;

    @Spec
    private CommandSpec spec;

    @Parameters(paramLabel = "MODEL", description = "Folder, .gguf file, classpath:RESOURCE or Hugging Face id.")
    private String model;

    @Option(
            names = {"-c", "--context"},
            paramLabel = "N",
            arity = "1..*",
            description = "Context lengths to estimate memory for (default: 4096 and its fourfold up to the model's).")
    private List<Integer> contexts;

    @Option(
            names = {"-w", "--weights"},
            paramLabel = "W",
            converter = WeightFormats.class,
            defaultValue = "as-stored",
            description =
                    "Estimate for weights quantised at load: as-stored, q8_0 or q4_0 (default: ${DEFAULT-VALUE}).")
    private WeightFormat weights;

    @Option(names = "--json", description = "Print one JSON object in place of the text.")
    private boolean json;

    public InspectCommand(Host host) {
        this.host = host;
    }

    @Override
    public Integer call() {
        if (contexts != null && contexts.stream().anyMatch(context -> context < 1)) {
            throw new ParameterException(spec.commandLine(), "--context must be 1 or more");
        }
        PrintWriter out = spec.commandLine().getOut();
        try (ResolvedModel resolved = host.resolve(model);
                ModelFile file = ModelFile.open(resolved.path())) {
            List<Integer> lengths =
                    contexts != null ? contexts : lengthsUpTo(file.config().contextLength());
            ModelReport report = ModelReport.of(resolved.name(), model, file, weights, lengths);
            if (json) {
                Json.print(report, out);
            } else {
                print(report, out);
            }
        }
        return 0;
    }

    private static List<Integer> lengthsUpTo(int longest) {
        List<Integer> lengths = new ArrayList<>();
        for (long length = SMALLEST_CONTEXT; length < longest; length *= 4) {
            lengths.add((int) length);
        }
        lengths.add(longest);
        return lengths;
    }

    private static void print(ModelReport report, PrintWriter out) {
        ModelConfig config = report.config();
        out.println(report.model());
        field(out, "source", report.source());
        field(out, "architecture", config.architecture().name().toLowerCase(Locale.ROOT));
        field(out, "parameters", String.format(Locale.ROOT, "%,d", report.parameters()));
        field(out, "layers", config.layers());
        field(out, "hidden size", config.hiddenSize() + ", feed-forward " + config.intermediateSize());
        field(
                out,
                "attention",
                config.heads() + " query heads, " + config.kvHeads() + " KV heads, head size " + config.headDim()
                        + (config.qkNorm() ? ", QK-norm" : ""));
        if (config.slidingWindow() > 0) {
            field(out, "sliding window", config.slidingWindow() + " tokens from layer " + config.slidingWindowFrom());
        }
        field(
                out,
                "RoPE",
                "theta " + config.rope().theta() + scaling(config.rope().scaling()));
        field(out, "context", config.contextLength() + " tokens");
        field(out, "vocabulary", config.vocabSize() + " tokens" + (config.tiedEmbeddings() ? ", embeddings tied" : ""));
        ModelReport.TokenizerReport tokenizer = report.tokenizer();
        field(
                out,
                "tokenizer",
                tokenizer.kind() + "; begin " + tokenizer.bos() + (tokenizer.addBos() ? "" : " (not added)") + ", end "
                        + tokenizer.eos());
        field(
                out,
                "end of turn",
                "token ids " + new TreeSet<>(report.generation().endTokens()));
        field(
                out,
                "chat template",
                report.chatTemplate() == null
                        ? "none"
                        : report.chatTemplate().length() + " characters (--json shows it)");
        out.println();
        printTensors(report, out);
        out.println();
        printMemory(report.memory(), out);
    }

    private static String scaling(Rope.Scaling scaling) {
        if (scaling instanceof Rope.None) {
            return "";
        }
        return scaling instanceof Rope.Factors ? ", scaled by frequency factors" : ", scaled by " + scaling;
    }

    private static void field(PrintWriter out, String name, Object value) {
        out.println(String.format(Locale.ROOT, "  %-15s %s", name, value));
    }

    private static void printTensors(ModelReport report, PrintWriter out) {
        List<String> head = new ArrayList<>(List.of("tensors", "count", "size"));
        report.tensors().get(0).loadedAs().keySet().forEach(device -> head.add("on " + device));
        Table table = new Table(head.toArray(String[]::new));
        for (ModelReport.TensorGroup group : report.tensors()) {
            List<String> row =
                    new ArrayList<>(List.of(group.type().name(), Integer.toString(group.count()), size(group.bytes())));
            group.loadedAs()
                    .values()
                    .forEach(types -> row.add(
                            types.isEmpty()
                                    ? "not used"
                                    : types.stream().map(TensorType::name).collect(Collectors.joining(", "))));
            table.row(row.toArray(String[]::new));
        }
        table.print(out);
    }

    private static void printMemory(ModelReport.Memory memory, PrintWriter out) {
        out.println("weights " + size(memory.weightsBytes()) + "; keys and values in " + memory.kvType() + ", "
                + size(memory.kvBytesPerToken()) + " a token");
        Table table = new Table("context", "keys and values", "with weights");
        for (ModelReport.ContextMemory context : memory.contexts()) {
            table.row(Integer.toString(context.context()), size(context.kvBytes()), size(context.totalBytes()));
        }
        table.print(out);
    }

    static String size(long bytes) {
        if (bytes < 1 << 10) {
            return bytes + " B";
        }
        if (bytes < 1 << 20) {
            return String.format(Locale.ROOT, "%.1f KiB", bytes / 0x1p10);
        }
        return bytes < 1 << 30
                ? String.format(Locale.ROOT, "%.1f MiB", bytes / 0x1p20)
                : String.format(Locale.ROOT, "%.1f GiB", bytes / 0x1p30);
    }
}
