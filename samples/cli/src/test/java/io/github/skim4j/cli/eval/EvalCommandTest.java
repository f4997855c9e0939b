package io.github.skim4j.cli.eval;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.skim4j.cli.CommandRun;
import io.github.skim4j.cli.ScriptedEngine;
import io.github.skim4j.engine.ContextLengthExceededException;
import io.github.skim4j.engine.GenerationRequest;
import io.github.skim4j.engine.SamplingParameters;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

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
        assertThat(json.fieldNames()).toIterable().containsExactly("model", "device", "protocol", "results");
        assertThat(json.path("model").textValue()).isEqualTo("scripted");
        assertThat(json.path("device").textValue()).isEqualTo("a test");
        assertThat(json.path("protocol").textValue()).isEqualTo("prompt");
        assertThat(json.path("results")).hasSize(2);
        JsonNode dense = json.path("results").path(0);
        assertThat(dense.fieldNames())
                .toIterable()
                .containsExactly(
                        "attention", "accuracy", "density", "cases", "tokens_per_second", "by_context", "by_type");
        assertThat(dense.path("attention").textValue()).isEqualTo("dense");
        assertThat(dense.path("accuracy").doubleValue()).isEqualTo(2 / 3.0);
        assertThat(dense.path("density").doubleValue()).isEqualTo(1);
        assertThat(dense.path("cases").intValue()).isEqualTo(3);
        assertThat(dense.path("tokens_per_second").doubleValue()).isEqualTo(10);
        assertThat(dense.path("by_context")).hasSize(2);
        assertThat(dense.path("by_context").path("1K").doubleValue()).isEqualTo(1);
        assertThat(dense.path("by_context").path("4K").doubleValue()).isEqualTo(0.5);
        assertThat(dense.path("by_type")).hasSize(2);
        assertThat(dense.path("by_type").path("single").doubleValue()).isEqualTo(0.5);
        assertThat(dense.path("by_type").path("pair").doubleValue()).isEqualTo(1);
        JsonNode sparse = json.path("results").path(1);
        assertThat(sparse.path("attention").textValue()).isEqualTo("streaming-llm:budget=25%");
        assertThat(sparse.path("density").doubleValue()).isEqualTo(0.25);
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
        assertThat(run.json().path("results").path(0).path("cases").intValue()).isEqualTo(2);
        assertThat(engine.requests).hasSize(2);
    }

    @Test
    void tableHasARowForEachMethodAndGroup() throws IOException {
        CommandRun run = eval(CASES, "--attention", "dense", "streaming-llm:budget=64");
        assertThat(run.out().lines())
                .contains("scripted on a test, protocol prompt")
                .anyMatch(line -> line.matches("dense +66\\.7 % +100\\.0 % +10\\.0 +3"))
                .anyMatch(line -> line.matches("streaming-llm:budget=64 +66\\.7 % +25\\.0 % +10\\.0 +3"))
                .anyMatch(line -> line.matches("4K +2 +50\\.0 % +50\\.0 %"))
                .anyMatch(line -> line.matches("pair +1 +100\\.0 % +100\\.0 %"));
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
