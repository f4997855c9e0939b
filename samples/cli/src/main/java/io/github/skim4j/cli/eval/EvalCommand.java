package io.github.skim4j.cli.eval;

import io.github.skim4j.cli.AttentionSpec;
import io.github.skim4j.cli.CacheOptions;
import io.github.skim4j.cli.EngineOptions;
import io.github.skim4j.cli.Host;
import io.github.skim4j.cli.Json;
import io.github.skim4j.cli.ProgressBars;
import io.github.skim4j.cli.Table;
import io.github.skim4j.cli.Version;
import io.github.skim4j.cli.eval.cases.CaseReader;
import io.github.skim4j.cli.eval.cases.CaseWriter;
import io.github.skim4j.cli.eval.cases.EvalCase;
import io.github.skim4j.cli.eval.report.EvalReport;
import io.github.skim4j.cli.eval.report.ReportPage;
import io.github.skim4j.cli.eval.report.ReportTables;
import io.github.skim4j.cli.eval.run.EvalMethods;
import io.github.skim4j.cli.eval.run.EvalResults;
import io.github.skim4j.cli.eval.run.EvalRunner;
import io.github.skim4j.cli.eval.run.Protocol;
import io.github.skim4j.cli.eval.tasks.Task;
import io.github.skim4j.cli.eval.tasks.TaskGenerator;
import io.github.skim4j.cli.eval.text.TextEval;
import io.github.skim4j.cli.plot.Drawing;
import io.github.skim4j.engine.Engine;
import io.github.skim4j.engine.SkimException;
import io.github.skim4j.engine.attention.Budget;
import io.github.skim4j.engine.kv.KvCacheConfig;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import me.tongfei.progressbar.ProgressBar;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** What attention methods cost in accuracy and save in reading, on cases of a file, on tasks that are made, or on a text. */
@Command(
        name = "eval",
        description = {
            "Measures how often a model answers right with each attention method, and what the method reads: on the cases of a file, or on"
                    + " tasks in the style of RULER that are made for the model's tokenizer. Or how well it predicts a text.",
            "Answers are greedy. A case counts by the share of its values that stand in the answer, ignoring case.",
        },
        mixinStandardHelpOptions = true,
        versionProvider = Version.class,
        footer = {
            "",
            "A case is a line of JSON: id, type, context_tokens, messages (role and content), answer, and as one likes value or values,",
            "question_tokens (tokens from the prompt's end that are the question, default "
                    + EvalCase.DEFAULT_QUESTION_TOKENS + "), max_tokens (of the answer, default "
                    + EvalCase.DEFAULT_MAX_TOKENS + ").",
        })
public final class EvalCommand implements Callable<Integer> {

    private static final String RESULTS = "results.jsonl";

    private final Host host;

    @Spec
    private CommandSpec spec;

    @Option(
            names = {"-c", "--cases"},
            paramLabel = "F.jsonl",
            description = "File of cases.")
    private Path cases;

    @Option(
            names = "--tasks",
            paramLabel = "TASK",
            split = ",",
            description = "Tasks to make cases of: ${COMPLETION-CANDIDATES}.")
    private List<Task> tasks = List.of();

    @Option(
            names = "--text",
            paramLabel = "F",
            description = "Text to predict: its first tokens are attended densely, the last of them by the method.")
    private Path text;

    @Option(
            names = "--context",
            paramLabel = "N",
            split = ",",
            description =
                    "Tokens of the made cases, answer included, or of the text that are used (default: 4096). With --tasks several, separated by commas.")
    private List<Integer> contexts = List.of(4096);

    @Option(
            names = "--samples",
            paramLabel = "N",
            defaultValue = "20",
            description = "Cases of each task and context length (default: ${DEFAULT-VALUE}).")
    private int samples;

    @Option(
            names = "--seed",
            paramLabel = "N",
            defaultValue = "1",
            description = "Other cases for another seed (default: ${DEFAULT-VALUE}).")
    private long seed;

    @Option(
            names = "--tail",
            paramLabel = "N",
            defaultValue = "256",
            description = "Tokens of the text to predict with the method (default: ${DEFAULT-VALUE}).")
    private int tail;

    @Option(names = "--write-cases", paramLabel = "F.jsonl", description = "Only write the made cases to a file.")
    private Path writeCases;

    @Option(
            names = {"-a", "--attention"},
            paramLabel = "SPEC",
            arity = "1..*",
            description = "Attention methods (default: dense).")
    private List<String> attention = List.of(AttentionSpec.DENSE.text());

    @Option(
            names = {"-b", "--budgets"},
            paramLabel = "B",
            split = ",",
            description = "Budgets, such as 25%%,3%%: a method that needs one and names none is taken with each.")
    private List<String> budgets = List.of();

    @Option(
            names = {"-p", "--protocol"},
            paramLabel = "prompt|question",
            defaultValue = "prompt",
            description =
                    "What the method applies to: the generation alone (prompt), or the question and the generation, so that only the documents are dense (question). Default: ${DEFAULT-VALUE}.")
    private Protocol protocol;

    @Option(names = "--limit", paramLabel = "N", description = "Only the first N cases of the file.")
    private Integer limit;

    @Option(
            names = "--probe",
            paramLabel = "P",
            defaultValue = "0",
            description =
                    "Share of the steps, 0 to 1, in which a head is also computed densely to tell the kept mass and the output's error (default: ${DEFAULT-VALUE}).")
    private double probe;

    @Option(
            names = {"-o", "--out"},
            paramLabel = "DIR",
            description = "Folder for every answer (" + RESULTS
                    + ", from which a later run goes on), report.json and report.html.")
    private Path out;

    @Mixin
    private CacheOptions cache;

    @Mixin
    private EngineOptions engineOptions;

    @Option(names = "--json", description = "Print one JSON object in place of the table.")
    private boolean json;

    public EvalCommand(Host host) {
        this.host = host;
    }

    @Override
    public Integer call() {
        List<AttentionSpec> methods = methods();
        check();
        KvCacheConfig kvCache = cache.config(0, true);
        if (text != null) {
            TextEval.Report report =
                    new TextEval(engineOptions, kvCache, host).run(text, contexts.get(0), tail, methods, probe);
            if (json) {
                Json.print(report, spec.commandLine().getOut());
            } else {
                report.print(spec.commandLine().getOut());
            }
            return 0;
        }
        List<EvalCase> evalCases = new ArrayList<>();
        if (cases != null) {
            evalCases.addAll(CaseReader.read(cases, limit == null ? Integer.MAX_VALUE : limit));
        }
        try (Engine engine = engineOptions.open(
                host, config -> config.kvCache(kvCache).recallProbe(probe).minContext(0))) {
            int cueTokens = protocol == Protocol.QUESTION || !tasks.isEmpty() ? EvalRunner.cueTokens(engine) : 0;
            evalCases.addAll(new TaskGenerator(chat -> engine.countTokens(chat) + cueTokens, seed)
                    .generate(tasks, contexts, samples));
            if (writeCases != null) {
                CaseWriter.write(evalCases, writeCases);
                return 0;
            }
            evaluate(engine, kvCache, evalCases, methods, cueTokens);
        }
        return 0;
    }

    private List<AttentionSpec> methods() {
        try {
            return EvalMethods.of(attention, budgets.stream().map(Budget::parse).toList());
        } catch (IllegalArgumentException e) {
            throw wrong("Invalid value for option '--attention' or '--budgets': " + e.getMessage());
        }
    }

    private void check() {
        if (cases == null && tasks.isEmpty() && text == null) {
            throw wrong("Missing what to evaluate on: give --cases, --tasks or --text");
        }
        if (text != null && (cases != null || !tasks.isEmpty())) {
            throw wrong("--text stands in place of --cases and --tasks: give one of them");
        }
        if (text != null && contexts.size() > 1) {
            throw wrong("--text takes one --context, but there are " + contexts.size());
        }
        if (text != null && out != null) {
            throw wrong("--out is for --cases and --tasks: take --json for a text");
        }
        if (limit != null) {
            requirePositive("--limit", limit);
        }
        contexts.forEach(context -> requirePositive("--context", context));
        requirePositive("--samples", samples);
        requirePositive("--tail", tail);
        if (text != null && tail >= contexts.get(0) - 1) {
            throw wrong("--tail must leave a part of the --context of " + contexts.get(0) + " tokens, but is " + tail);
        }
        if (!(probe >= 0 && probe <= 1)) {
            throw wrong("--probe must be between 0 and 1, but is " + probe);
        }
    }

    private void requirePositive(String option, int value) {
        if (value < 1) {
            throw wrong(option + " must be 1 or more, but is " + value);
        }
    }

    private ParameterException wrong(String message) {
        return new ParameterException(spec.commandLine(), message);
    }

    private void evaluate(
            Engine engine,
            KvCacheConfig kvCache,
            List<EvalCase> evalCases,
            List<AttentionSpec> methods,
            int cueTokens) {
        String weights = engineOptions.weights().name().toLowerCase(Locale.ROOT).replace('_', '-');
        EvalResults.Setting setting = new EvalResults.Setting(
                engine.modelName(), weights, kvCache.type(), kvCache.pageSize(), protocol.toString());
        try (EvalResults results = results(setting);
                ProgressBar bar = host.errorIsTerminal()
                        ? ProgressBars.steps("eval", "answers", (long) evalCases.size() * methods.size())
                        : null) {
            new EvalRunner(engine, protocol, cueTokens).run(evalCases, methods, results, () -> {
                if (bar != null) {
                    bar.step();
                }
            });
            EvalReport report = EvalReport.of(
                    new Version().getVersion()[0],
                    Instant.now().truncatedTo(ChronoUnit.SECONDS).toString(),
                    engine.stats().device(),
                    setting,
                    results.all());
            print(report);
            write(report);
        }
    }

    private EvalResults results(EvalResults.Setting setting) {
        if (out == null) {
            return EvalResults.inMemory();
        }
        try {
            return EvalResults.open(Files.createDirectories(out).resolve(RESULTS), setting);
        } catch (IOException e) {
            throw new SkimException("the folder " + out + " can't be made: " + e.getMessage(), e);
        }
    }

    private void write(EvalReport report) {
        if (out == null) {
            return;
        }
        try {
            try (PrintWriter file = new PrintWriter(Files.newBufferedWriter(out.resolve("report.json")))) {
                Json.print(report, file);
            }
            Files.writeString(out.resolve("report.html"), Drawing.of("report.html", () -> ReportPage.of(report)));
        } catch (IOException e) {
            throw new SkimException("the report can't be written to " + out + ": " + e.getMessage(), e);
        }
    }

    private void print(EvalReport report) {
        PrintWriter writer = spec.commandLine().getOut();
        if (json) {
            Json.print(report, writer);
            return;
        }
        writer.println(report.model() + " on " + report.device() + ", protocol " + report.protocol());
        ReportTables tables = new ReportTables(report);
        tables.all().forEach((title, rows) -> {
            writer.println();
            writer.println(title);
            Table table = new Table(rows.get(0).toArray(String[]::new));
            rows.subList(1, rows.size()).forEach(row -> table.row(row.toArray(String[]::new)));
            table.print(writer);
        });
        if (tables.hasMarks()) {
            writer.println();
            writer.println(ReportTables.NOT_SPARSE_NOTE);
            writer.flush();
        }
    }
}
