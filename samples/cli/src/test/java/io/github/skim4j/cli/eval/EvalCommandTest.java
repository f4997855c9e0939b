package io.github.skim4j.cli.eval;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.skim4j.cli.CommandRun;
import io.github.skim4j.cli.ScriptedEngine;
import io.github.skim4j.cli.eval.cases.CaseReader;
import io.github.skim4j.engine.ContextLengthExceededException;
import io.github.skim4j.engine.GenerationRequest;
import io.github.skim4j.engine.SamplingParameters;
import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.kv.KvCacheConfig;
import io.github.skim4j.engine.kv.KvCacheConfig.KvType;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class EvalCommandTest {

    private static final String CASES = """
            {"id":"1","type":"single","context_tokens":900,"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"one two three four five"}],"answer":"It is red.","value":"Red"}
            {"id":"2","type":"single","context_tokens":4000,"messages":[{"role":"user","content":"blue"}],"answer":"It is blue.","value":null}

            {"id":"3","type":"pair","context_tokens":4100,"messages":[{"role":"user","content":"one two three red"}],"answer":"red","question_tokens":2}
            """;

    @TempDir
    Path folder;

    private final ScriptedEngine engine = new ScriptedEngine(message -> "The colour is red.");

    private CommandRun eval(String cases, String... more) throws IOException {
        String file = Files.writeString(folder.resolve("cases.jsonl"), cases).toString();
        String[] args = {"eval", "--model", "m", "--cases", file};
        String[] all = new String[args.length + more.length];
        System.arraycopy(args, 0, all, 0, args.length);
        System.arraycopy(more, 0, all, args.length, more.length);
        return CommandRun.of(engine, all);
    }

    @Test
    void jsonHasTheFieldsOfTheContract() throws IOException {
        CommandRun run = eval(CASES, "--json", "--attention", "dense", "--attention", "streaming-llm:budget=25%");
        assertThat(run.exit()).as(run.err()).isZero();
        assertThat(run.err()).isEmpty();
        JsonNode json = run.json();
        assertThat(json.fieldNames())
                .toIterable()
                .containsExactly(
                        "program", "date", "model", "device", "weights", "kv_type", "page_size", "protocol", "results");
        assertThat(json.path("model").textValue()).isEqualTo("scripted");
        assertThat(json.path("device").textValue()).isEqualTo("a test");
        assertThat(json.path("weights").textValue()).isEqualTo("as-stored");
        assertThat(json.path("kv_type").textValue()).isEqualTo("BF16");
        assertThat(json.path("page_size").intValue()).isEqualTo(32);
        assertThat(json.path("protocol").textValue()).isEqualTo("prompt");
        assertThat(json.path("results")).hasSize(2);
        JsonNode dense = json.path("results").path(0);
        assertThat(dense.fieldNames())
                .toIterable()
                .containsExactly(
                        "attention",
                        "spec",
                        "accuracy",
                        "density",
                        "traffic",
                        "kept_mass",
                        "output_error",
                        "selection_share",
                        "tokens_per_second",
                        "cases",
                        "sparse",
                        "by_context",
                        "by_type");
        assertThat(dense.path("attention").textValue()).isEqualTo("dense");
        assertThat(dense.path("accuracy").doubleValue()).isEqualTo(2 / 3.0);
        assertThat(dense.path("density").doubleValue()).isEqualTo(1);
        assertThat(dense.path("kept_mass").isNull()).isTrue();
        assertThat(dense.path("selection_share").isNull()).isTrue();
        assertThat(dense.path("cases").intValue()).isEqualTo(3);
        assertThat(dense.path("tokens_per_second").doubleValue()).isEqualTo(10);
        assertThat(dense.path("by_context"))
                .hasSize(2)
                .allSatisfy(score -> assertThat(score.fieldNames())
                        .toIterable()
                        .contains("accuracy", "density", "tokens_per_second", "cases"));
        assertThat(dense.at("/by_context/1K/accuracy").doubleValue()).isEqualTo(1);
        assertThat(dense.at("/by_context/4K/accuracy").doubleValue()).isEqualTo(0.5);
        assertThat(dense.at("/by_context/4K/cases").intValue()).isEqualTo(2);
        assertThat(dense.path("by_type")).hasSize(2);
        assertThat(dense.at("/by_type/single/accuracy").doubleValue()).isEqualTo(0.5);
        assertThat(dense.at("/by_type/pair/accuracy").doubleValue()).isEqualTo(1);
        JsonNode sparse = json.path("results").path(1);
        assertThat(sparse.path("attention").textValue()).isEqualTo("streaming-llm:budget=25%");
        assertThat(sparse.path("spec").textValue()).isEqualTo("streaming-llm:budget=25%,sinks=4");
        assertThat(sparse.path("density").doubleValue()).isEqualTo(0.25);
        assertThat(sparse.path("sparse").booleanValue()).isTrue();
    }

    @Test
    void answersAreGreedyAndShortAndTheWholePromptIsDense() throws IOException {
        eval(CASES);
        assertThat(engine.requests).hasSize(3).allSatisfy(request -> {
            assertThat(request.sampling()).isEqualTo(SamplingParameters.GREEDY);
            assertThat(request.maxOutputTokens()).isEqualTo(64);
            assertThat(request.denseTokens()).isNull();
            assertThat(request.attention().spec()).isEqualTo("dense");
        });
    }

    @Test
    void eachCaseIsAskedWithAllMethodsBeforeTheNextSoThatTheyShareItsDocuments() throws IOException {
        eval(CASES, "--attention", "dense", "streaming-llm:budget=64");
        assertThat(engine.requests.stream().map(request -> request.attention().name()))
                .containsExactly("dense", "streaming-llm", "dense", "streaming-llm", "dense", "streaming-llm");
        assertThat(engine.config.kvCache().prefixCache()).isTrue();
    }

    @Test
    void aMethodThatNeedsABudgetIsTakenWithEach() throws IOException {
        eval(
                CASES,
                "--limit",
                "1",
                "--budgets",
                "25%,3%",
                "--attention",
                "dense",
                "streaming-llm",
                "streaming-llm:sinks=2",
                "quest:budget=512");
        assertThat(engine.requests.stream().map(request -> request.attention().spec()))
                .containsExactly(
                        "dense",
                        "streaming-llm:budget=25%,sinks=4",
                        "streaming-llm:budget=3%,sinks=4",
                        "streaming-llm:budget=25%,sinks=2",
                        "streaming-llm:budget=3%,sinks=2",
                        AttentionMethod.parse("quest:budget=512").spec());
    }

    @Test
    void aMethodThatLeftNothingOutIsMarked() throws IOException {
        ScriptedEngine dense = new ScriptedEngine(message -> "red");
        dense.attended = 100;
        String file = Files.writeString(folder.resolve("cases.jsonl"), CASES).toString();
        CommandRun run = CommandRun.of(
                dense, "eval", "--model", "m", "--cases", file, "--attention", "dense", "streaming-llm:budget=9999");
        assertThat(run.out())
                .containsPattern("streaming-llm:budget=9999 +66\\.7 % +100\\.0 %\\*")
                .contains("* left nothing out")
                .doesNotContainPattern("dense .*\\*");
    }

    @Test
    void goesOnWhereItWasCutOff() throws IOException {
        Path out = folder.resolve("out");
        Path results = out.resolve("results.jsonl");
        eval(CASES, "--limit", "2", "--out", out.toString());
        assertThat(Files.readAllLines(results)).hasSize(3);
        String torn = "{\"case_id\":\"3\",\"fing";
        Files.writeString(results, torn, StandardOpenOption.APPEND);
        engine.requests.clear();
        CommandRun run = eval(CASES, "--json", "--out", out.toString());
        assertThat(run.exit()).as(run.err()).isZero();
        assertThat(engine.requests).hasSize(1);
        assertThat(run.json().at("/results/0/cases").intValue()).isEqualTo(3);
        assertThat(Files.readAllLines(results)).hasSize(4).noneMatch(line -> line.contains("\"fing{"));
        engine.requests.clear();
        assertThat(eval(CASES, "--json", "--out", out.toString()).json().path("results"))
                .isEqualTo(run.json().path("results"));
        assertThat(engine.requests).isEmpty();
    }

    @Test
    void resultsOfAnotherSettingOrCaseAreRefused() throws IOException {
        String out = folder.resolve("out").toString();
        eval(CASES, "--out", out);
        CommandRun protocol = eval(CASES, "--out", out, "--protocol", "question");
        assertThat(protocol.exit()).isEqualTo(1);
        assertThat(protocol.err())
                .contains(
                        "results of scripted (weights as-stored, keys and values in BF16, 32 tokens a page) with protocol prompt")
                .contains(
                        "but this run is of scripted (weights as-stored, keys and values in BF16, 32 tokens a page) with protocol question: choose another folder");
        for (String[] cache : new String[][] {{"--page-size", "64"}, {"--kv-type", "F32"}}) {
            assertThat(eval(CASES, "--out", out, cache[0], cache[1]).err())
                    .contains("results of scripted")
                    .contains(cache[1]);
        }
        assertThat(eval(CASES.replace("blue", "green"), "--out", out).err())
                .contains("has an answer to another case 2: choose another folder");
        Files.writeString(folder.resolve("out/results.jsonl"), "hello\n");
        assertThat(eval(CASES, "--out", out).err()).contains("is no file of results, or damaged at 'hello'");
    }

    @Test
    void resultsThatSayNothingOfTheCacheAreOfPagesOf16() throws IOException {
        Path out = folder.resolve("out");
        Path results = out.resolve("results.jsonl");
        eval(CASES, "--out", out.toString(), "--page-size", "16");
        String kept = Files.readString(results);
        String older = kept.replace("\"kv_type\":\"BF16\",\"page_size\":16,", "");
        assertThat(older).isNotEqualTo(kept);
        Files.writeString(results, older);
        engine.requests.clear();
        assertThat(eval(CASES, "--out", out.toString(), "--page-size", "16").exit())
                .isZero();
        assertThat(engine.requests).isEmpty();
        assertThat(eval(CASES, "--out", out.toString()).err()).contains("16 tokens a page");
    }

    @Test
    void theCacheIsOfTheTypeAndPageSizeThatAreAskedFor() throws IOException {
        CommandRun run = eval(CASES, "--json", "--page-size", "64", "--kv-type", "f32");
        assertThat(engine.config.kvCache()).isEqualTo(new KvCacheConfig(64, KvType.F32, 0, true));
        assertThat(run.json().path("kv_type").textValue()).isEqualTo("F32");
        assertThat(run.json().path("page_size").intValue()).isEqualTo(64);
        CommandRun wrong = eval(CASES, "--page-size", "12");
        assertThat(wrong.exit()).isEqualTo(2);
        assertThat(wrong.err()).contains("page-size must be 8, 16, 32 or 64, but is 12");
    }

    @Test
    void theReportIsOnePageWithItsPlots() throws IOException {
        Path out = folder.resolve("out");
        CommandRun run = eval(
                CASES,
                "--json",
                "--out",
                out.toString(),
                "--attention",
                "dense",
                "streaming-llm:budget=64",
                "streaming-llm:budget=3%");
        assertThat(new ObjectMapper().readTree(out.resolve("report.json").toFile()))
                .isEqualTo(run.json());
        String page = Files.readString(out.resolve("report.html"));
        assertThat(page)
                .contains(
                        "Sparse attention: scripted", "protocol prompt", "<code>streaming-llm:budget=64,sinks=4</code>")
                .contains(
                        "aria-label=\"Accuracy and density, context 1K\"",
                        "aria-label=\"Accuracy and traffic, context 4K\"")
                .doesNotContain("<script", "href=", "src=", "@import");
        assertThat(page.split("<svg", -1))
                .as("two plots for each of two lengths")
                .hasSize(5);
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 7, 43, 50, 99})
    void plotsAnyDensity(int attended) throws IOException {
        engine.attended = attended;
        Path out = folder.resolve("out");
        CommandRun run = eval(CASES, "--out", out.toString(), "--attention", "streaming-llm:budget=64");
        assertThat(run.exit()).as(run.err()).isZero();
        assertThat(Files.readString(out.resolve("report.html"))).contains("<svg");
    }

    @Test
    void madeCasesCanBeWrittenAndReadAgain() throws IOException {
        String file = folder.resolve("made.jsonl").toString();
        CommandRun made = CommandRun.of(
                engine,
                "eval",
                "--model",
                "m",
                "--tasks",
                "niah-single,vt",
                "--context",
                "1000,2000",
                "--samples",
                "2",
                "--write-cases",
                file);
        assertThat(made.exit()).as(made.err()).isZero();
        assertThat(CaseReader.read(Path.of(file), 100)).hasSize(8).allSatisfy(each -> {
            assertThat(engine.countTokens(each.messages()) + ScriptedEngine.CUE_TOKENS + each.maxTokens())
                    .isBetween(each.contextTokens() - 40, each.contextTokens());
            assertThat(each.messages().get(0).content()).contains(each.values());
        });
        ScriptedEngine reads = new ScriptedEngine(message -> {
            Matcher value = Pattern.compile("is: (\\d{7})").matcher(message);
            return value.find() ? value.group(1) : "none";
        });
        CommandRun run = CommandRun.of(reads, "eval", "--model", "m", "--cases", file, "--json");
        assertThat(run.json().at("/results/0/by_type/niah-single/accuracy").doubleValue())
                .isEqualTo(1);
        assertThat(run.json().at("/results/0/by_type/vt/accuracy").doubleValue())
                .isZero();
    }

    @Test
    void questionProtocolLeavesOnlyTheDocumentsDense() throws IOException {
        eval(CASES, "--protocol", "question", "--attention", "streaming-llm:budget=64");
        List<GenerationRequest> cases = engine.requests.subList(1, 4);
        // The first two prompts are shorter than the 64 tokens of a question; the third names the length of its own.
        assertThat(cases.stream().map(GenerationRequest::denseTokens))
                .containsExactly(0, 0, 4 + ScriptedEngine.CUE_TOKENS - 2);
    }

    @Test
    void limitTakesTheFirst() throws IOException {
        CommandRun run = eval(CASES, "--json", "--limit", "2");
        assertThat(run.json().at("/results/0/cases").intValue()).isEqualTo(2);
        assertThat(engine.requests).hasSize(2);
    }

    @Test
    void tableHasARowForEachMethodAndGroup() throws IOException {
        CommandRun run = eval(CASES, "--attention", "dense", "streaming-llm:budget=64");
        assertThat(run.out().lines())
                .contains("scripted on a test, protocol prompt")
                .anyMatch(line -> line.matches("dense +66\\.7 % +100\\.0 % +100\\.0 % +- +10\\.0 +3"))
                .anyMatch(line -> line.matches("streaming-llm:budget=64 +66\\.7 % +25\\.0 % +100\\.0 % +- +10\\.0 +3"))
                .anyMatch(line -> line.matches("attention +1K +4K"))
                .anyMatch(line -> line.matches("attention +single +pair"))
                .anyMatch(line -> line.matches("dense +100\\.0 % +50\\.0 %"))
                .anyMatch(line -> line.matches("dense +50\\.0 % +100\\.0 %"));
    }

    @Test
    void badCasesAreNamedByLineAndField() throws IOException {
        String good = CASES.lines().findFirst().orElseThrow();
        for (List<String> bad : List.of(
                List.of(good + "\nnonsense", "cases.jsonl line 2 is not JSON"),
                List.of(good + "\n[]", "cases.jsonl line 2 needs 'messages'"),
                List.of(good.replace("\"id\"", "\"name\""), "line 1 needs 'id', a string"),
                List.of(good.replace("\"It is red.\"", "7"), "line 1 needs 'answer', a string"),
                List.of(good.replace("900", "-1"), "line 1 needs 'context_tokens', a whole number above 0"),
                List.of(good.replace("\"system\"", "\"robot\""), "line 1 has a message of role 'robot'"),
                List.of("\n", "has no cases"))) {
            CommandRun run = eval(bad.get(0));
            assertThat(run.exit()).isEqualTo(1);
            assertThat(run.err().lines())
                    .singleElement()
                    .asString()
                    .startsWith("skim: ")
                    .contains(bad.get(1));
        }
        assertThat(engine.requests).isEmpty();
        CommandRun missing = CommandRun.of(engine, "eval", "--cases", "none.jsonl", "--model", "m");
        assertThat(missing.err()).contains("none.jsonl does not exist");
    }

    @Test
    void aCaseThatFailsIsNamed() throws IOException {
        ScriptedEngine failing = new ScriptedEngine(message -> {
            throw new ContextLengthExceededException("too long");
        });
        String file = Files.writeString(folder.resolve("cases.jsonl"), CASES).toString();
        CommandRun run = CommandRun.of(failing, "eval", "--model", "m", "--cases", file);
        assertThat(run.exit()).isEqualTo(1);
        assertThat(run.err().lines()).containsExactly("skim: case 1: too long");
    }
}
