package io.github.skim4j.cli.eval;

import io.github.skim4j.cli.AttentionSpec;
import io.github.skim4j.cli.EngineOptions;
import io.github.skim4j.cli.Generations;
import io.github.skim4j.cli.Host;
import io.github.skim4j.cli.Json;
import io.github.skim4j.cli.ProgressBars;
import io.github.skim4j.cli.Table;
import io.github.skim4j.cli.Version;
import io.github.skim4j.engine.Engine;
import io.github.skim4j.engine.GenerationRequest;
import io.github.skim4j.engine.GenerationResult;
import io.github.skim4j.engine.SkimException;
import io.github.skim4j.engine.chat.ChatMessage;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.function.Function;
import me.tongfei.progressbar.ProgressBar;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Accuracy, density and speed of attention methods on cases, one case after the other. */
@Command(
        name = "eval",
        description = {
            "Measures how often a model answers right, for each attention method.",
            "Answers are greedy and at most " + EvalCommand.MAX_TOKENS
                    + " tokens. One is right if the case's value, or its answer where there is no value, stands in it, ignoring case.",
        },
        mixinStandardHelpOptions = true,
        versionProvider = Version.class,
        footer = {
            "",
            "A case is a line of JSON: id, type, context_tokens, messages (role and content), answer, and as one likes value and",
            "question_tokens (tokens from the prompt's end that are the question, default "
                    + EvalCase.DEFAULT_QUESTION_TOKENS + ").",
        })
public final class EvalCommand implements Callable<Integer> {

    static final int MAX_TOKENS = 64;

    private final Host host;

    @Spec
    private CommandSpec spec;

    @Option(
            names = {"-c", "--cases"},
            paramLabel = "F.jsonl",
            required = true,
            description = "File of cases.")
    private Path cases;

    @Option(
            names = {"-a", "--attention"},
            paramLabel = "SPEC",
            arity = "1..*",
            description = "Attention methods, in turn (default: dense).")
    private List<AttentionSpec> attention = List.of(AttentionSpec.DENSE);

    @Option(
            names = {"-p", "--protocol"},
            paramLabel = "prompt|question",
            defaultValue = "prompt",
            description =
                    "What the method applies to: the generation alone (prompt), or the question and the generation, so that only the documents are dense (question). Default: ${DEFAULT-VALUE}.")
    private Protocol protocol;

    @Option(names = "--limit", paramLabel = "N", description = "Only the first N cases.")
    private Integer limit;

    @Mixin
    private EngineOptions engineOptions;

    @Option(names = "--json", description = "Print one JSON object in place of the table.")
    private boolean json;

    public EvalCommand(Host host) {
        this.host = host;
    }

    @Override
    public Integer call() {
        if (limit != null && limit < 1) {
            throw new ParameterException(spec.commandLine(), "--limit must be 1 or more, but is " + limit);
        }
        List<EvalCase> evalCases = CaseReader.read(cases, limit == null ? Integer.MAX_VALUE : limit);
        PrintWriter out = spec.commandLine().getOut();
        try (Engine engine = engineOptions.open(host)) {
            List<MethodScore> scores = evaluate(engine, evalCases);
            if (json) {
                Json.print(EvalReport.of(engine.modelName(), engine.stats().device(), protocol, scores), out);
            } else {
                out.println(engine.modelName() + " on " + engine.stats().device() + ", protocol "
                        + protocol.name().toLowerCase(Locale.ROOT));
                print(scores, out);
            }
        }
        return 0;
    }

    private List<MethodScore> evaluate(Engine engine, List<EvalCase> evalCases) {
        int cueTokens = protocol == Protocol.QUESTION ? cueTokens(engine) : 0;
        List<MethodScore> scores = new ArrayList<>();
        for (AttentionSpec method : attention) {
            MethodScore score = new MethodScore(method.text());
            try (ProgressBar bar =
                    host.errorIsTerminal() ? ProgressBars.steps(method.text(), "cases", evalCases.size()) : null) {
                for (EvalCase evalCase : evalCases) {
                    score.add(evalCase, answer(engine, evalCase, method, cueTokens));
                    if (bar != null) {
                        bar.step();
                    }
                }
            }
            scores.add(score);
        }
        return scores;
    }

    private GenerationResult answer(Engine engine, EvalCase evalCase, AttentionSpec method, int cueTokens) {
        try {
            Integer denseTokens = null;
            if (protocol == Protocol.QUESTION) {
                int promptTokens = engine.countTokens(evalCase.messages()) + cueTokens;
                denseTokens = Math.max(0, promptTokens - evalCase.questionTokens());
            }
            return Generations.await(
                    engine,
                    GenerationRequest.chat(evalCase.messages())
                            .maxOutputTokens(MAX_TOKENS)
                            .attention(method.method())
                            .denseTokens(denseTokens)
                            .build());
        } catch (SkimException e) {
            throw new SkimException("case " + evalCase.id() + ": " + e.getMessage(), e);
        }
    }

    /** Tokens by which the template cues the answer, which end every prompt and which the engine does not count as a message's. */
    private static int cueTokens(Engine engine) {
        List<ChatMessage> shortChat = List.of(ChatMessage.user("Hello"));
        GenerationResult result = Generations.await(
                engine, GenerationRequest.chat(shortChat).maxOutputTokens(1).build());
        return result.promptTokens() - engine.countTokens(shortChat);
    }

    private static void print(List<MethodScore> scores, PrintWriter out) {
        Table table = new Table("attention", "accuracy", "density", "tokens/s", "cases");
        for (MethodScore score : scores) {
            table.row(
                    score.attention(),
                    percent(score.all().accuracy()),
                    percent(score.density()),
                    String.format(Locale.ROOT, "%.1f", score.tokensPerSecond()),
                    Integer.toString(score.all().cases()));
        }
        table.print(out);
        printGroups("context", scores, MethodScore::byContext, out);
        printGroups("type", scores, MethodScore::byType, out);
    }

    /** A row for each group, a column for each method. */
    private static void printGroups(
            String title, List<MethodScore> scores, Function<MethodScore, Map<String, Tally>> groups, PrintWriter out) {
        List<String> header = new ArrayList<>(List.of(title, "cases"));
        Map<String, List<String>> rows = new LinkedHashMap<>();
        for (MethodScore score : scores) {
            header.add(score.attention());
            groups.apply(score)
                    .forEach((group, tally) -> rows.computeIfAbsent(
                                    group, name -> new ArrayList<>(List.of(name, Integer.toString(tally.cases()))))
                            .add(percent(tally.accuracy())));
        }
        Table table = new Table(header.toArray(String[]::new));
        rows.values().forEach(row -> table.row(row.toArray(String[]::new)));
        out.println();
        table.print(out);
    }

    private static String percent(double share) {
        return String.format(Locale.ROOT, "%.1f %%", 100 * share);
    }
}
