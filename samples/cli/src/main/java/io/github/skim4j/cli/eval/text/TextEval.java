package io.github.skim4j.cli.eval.text;

import io.github.skim4j.cli.AttentionSpec;
import io.github.skim4j.cli.EngineOptions;
import io.github.skim4j.cli.Host;
import io.github.skim4j.cli.ProgressBars;
import io.github.skim4j.cli.SequenceRun;
import io.github.skim4j.cli.Table;
import io.github.skim4j.cli.TextFiles;
import io.github.skim4j.cli.eval.text.TextPredictor.Prediction;
import io.github.skim4j.engine.AttentionStats;
import io.github.skim4j.engine.SkimException;
import io.github.skim4j.engine.attention.Dense;
import io.github.skim4j.engine.backend.Backend;
import io.github.skim4j.engine.backend.BackendConfig;
import io.github.skim4j.engine.backend.Device;
import io.github.skim4j.engine.kv.KvCacheConfig;
import io.github.skim4j.engine.model.ModelFile;
import io.github.skim4j.engine.model.ResolvedModel;
import io.github.skim4j.engine.tokenizer.Tokenizer;
import io.github.skim4j.engine.tokenizer.Tokenizers;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import me.tongfei.progressbar.ProgressBar;

/** Predicts a text with each method. */
public final class TextEval {

    private final EngineOptions options;
    private final KvCacheConfig cache;
    private final Host host;

    /** @param cache without the memory, which follows from the text */
    public TextEval(EngineOptions options, KvCacheConfig cache, Host host) {
        this.options = options;
        this.cache = cache;
        this.host = host;
    }

    /**
     * @param context tokens of the text that were used
     * @param tail how many of them were predicted
     * @param denseLoss nats a token with dense attention
     */
    public record Report(String model, String device, int context, int tail, double denseLoss, List<Result> results) {

        public void print(PrintWriter out) {
            out.println(model + " on " + device + ", the last " + tail + " of " + context + " tokens, dense "
                    + String.format(Locale.ROOT, "%.4f", denseLoss) + " nats a token");
            boolean probed = results.stream().anyMatch(result -> result.keptMass() != null);
            List<String> header = new ArrayList<>(List.of("attention", "nats", "above dense", "density", "traffic"));
            if (probed) {
                header.addAll(List.of("kept mass", "output error"));
            }
            header.add("tokens/s");
            Table table = new Table(header.toArray(String[]::new));
            results.forEach(result -> table.row(result.cells(probed)));
            table.print(out);
        }
    }

    /**
     * One method.
     *
     * @param loss nats a token
     * @param aboveDense by how much that is more than dense attention's
     * @param keptMass see {@link AttentionStats.Probe}; {@code null} without a probe, as {@code outputError}
     */
    public record Result(
            String attention,
            double loss,
            double aboveDense,
            double density,
            double traffic,
            Double keptMass,
            Double outputError,
            double tokensPerSecond) {

        static Result of(AttentionSpec method, Prediction prediction, double denseLoss, int tail) {
            AttentionStats read = prediction.read();
            boolean probed = read.probe().samples() > 0;
            return new Result(
                    method.text(),
                    prediction.loss(),
                    prediction.loss() - denseLoss,
                    read.density(),
                    read.traffic(),
                    probed ? read.probe().keptMass() : null,
                    probed ? read.probe().outputError() : null,
                    tail / (prediction.nanos() / 1e9));
        }

        private String[] cells(boolean probed) {
            List<String> cells = new ArrayList<>(List.of(
                    attention,
                    String.format(Locale.ROOT, "%.4f", loss),
                    String.format(Locale.ROOT, "%+.4f", aboveDense),
                    percent(density),
                    percent(traffic)));
            if (probed) {
                cells.add(keptMass == null ? "-" : percent(keptMass));
                cells.add(outputError == null ? "-" : String.format(Locale.ROOT, "%.3f", outputError));
            }
            cells.add(String.format(Locale.ROOT, "%.1f", tokensPerSecond));
            return cells.toArray(String[]::new);
        }

        private static String percent(double share) {
            return String.format(Locale.ROOT, "%.1f %%", 100 * share);
        }
    }

    /**
     * @param context tokens of the text to use, from its first on
     * @param tail how many of them to predict
     */
    public Report run(Path text, int context, int tail, List<AttentionSpec> methods, double probe) {
        String content = TextFiles.read(text);
        try (ResolvedModel resolved = host.resolve(options.reference());
                ModelFile file = ModelFile.open(resolved.path())) {
            if (context > file.config().contextLength()) {
                throw new SkimException(resolved.name() + " was made for at most "
                        + file.config().contextLength() + " tokens: lower --context from " + context);
            }
            int[] tokens = tokens(text, content, file, context);
            Device device = Device.choose(options.device());
            KvCacheConfig kvCache = kvCache(file, context);
            BackendConfig config = new BackendConfig(
                    device.ordinal(),
                    options.threads(),
                    context,
                    1,
                    SequenceRun.CHUNK,
                    kvCache,
                    options.weights(),
                    new Dense(),
                    probe);
            try (Backend backend = device.provider().open(file, config)) {
                methods.forEach(method -> backend.requireSupports(method.method()));
                return measure(resolved.name(), backend, kvCache.pageSize(), tokens, tail, methods);
            }
        }
    }

    private static int[] tokens(Path text, String content, ModelFile file, int context) {
        ModelFile.SpecialTokens special = file.specialTokens();
        boolean bos = special.addBos() && special.bos() != null;
        try (Tokenizer tokenizer = Tokenizers.of(file.tokenizer())) {
            int[] tokens = tokenizer.encode(bos ? special.bos() + content : content);
            if (tokens.length < context) {
                throw new SkimException(text + " has " + tokens.length + " tokens: lower --context from " + context
                        + " or take a longer text");
            }
            return Arrays.copyOf(tokens, context);
        }
    }

    /** Room for the text twice: the shared pages, and those of a method that needs its own. */
    private KvCacheConfig kvCache(ModelFile file, int context) {
        long tokens = 2L * (context + cache.pageSize());
        return new KvCacheConfig(
                cache.pageSize(), cache.type(), tokens * cache.tokenBytes(file.config()), cache.prefixCache());
    }

    private Report measure(
            String model, Backend backend, int pageSize, int[] tokens, int tail, List<AttentionSpec> methods) {
        TextPredictor predictor = new TextPredictor(backend, pageSize);
        try (ProgressBar bar =
                host.errorIsTerminal() ? ProgressBars.steps("text", "methods", methods.size() + 1L) : null) {
            Prediction dense = predictor.predict(tokens, tail, new Dense());
            List<Result> results = new ArrayList<>();
            for (AttentionSpec method : methods) {
                if (bar != null) {
                    bar.step();
                }
                Prediction prediction = predictor.predict(tokens, tail, method.method());
                results.add(Result.of(method, prediction, dense.loss(), tail));
            }
            return new Report(model, backend.device(), tokens.length, tail, dense.loss(), results);
        }
    }
}
