package io.github.skim4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.skim4j.engine.ContextLengthExceededException;
import io.github.skim4j.engine.GenerationRequest;
import io.github.skim4j.engine.SamplingParameters;
import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.chat.ChatMessage;
import io.github.skim4j.engine.model.WeightFormat;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class AskCommandTest {

    @TempDir
    Path folder;

    private final ScriptedEngine engine = new ScriptedEngine(message -> "Ines Steele, naïvely.");

    private String document(String name, String text) throws IOException {
        return Files.writeString(folder.resolve(name), text).toString();
    }

    private CommandRun ask(String... more) throws IOException {
        String[] args = {"ask", "--question", "Who?", "--document", document("a.txt", "First."), "--model", "m"};
        String[] all = new String[args.length + more.length];
        System.arraycopy(args, 0, all, 0, args.length);
        System.arraycopy(more, 0, all, args.length, more.length);
        return CommandRun.of(engine, all);
    }

    @Test
    void documentsStandBeforeTheQuestionInOneMessage() throws IOException {
        CommandRun run = CommandRun.of(
                engine,
                "ask",
                "--question",
                "Who leads Project Heron?",
                "--document",
                document("a.txt", "\uFEFFFirst.\n"),
                document("b.txt", "Zweitens: äöü."),
                "--document",
                document("c.txt", "Third."),
                "--model",
                "m");
        assertThat(run.exit()).as(run.err()).isZero();
        assertThat(run.out()).isEqualTo("Ines Steele, naïvely." + System.lineSeparator());
        assertThat(run.err()).contains("prompt", "tokens", "10.0/s", "density 100.0 %", "stop");
        GenerationRequest.Chat chat =
                (GenerationRequest.Chat) engine.requests.get(0).prompt();
        assertThat(chat.messages())
                .containsExactly(ChatMessage.user(
                        "Documents:\n\nFirst.\n\nZweitens: äöü.\n\nThird.\n\nWho leads Project Heron?"));
        assertThat(engine.closed).isTrue();
    }

    @Test
    void aFileOfAChatTemplateTakesThePlaceOfTheModels() throws IOException {
        assertThat(ask().exit()).isZero();
        assertThat(engine.config.chatTemplate()).isNull();
        String template = "{{ messages[0].content }}";
        assertThat(ask("--chat-template", document("chat.jinja", template)).exit())
                .isZero();
        assertThat(engine.config.chatTemplate()).isEqualTo(template);
        assertThat(ask("--chat-template", "none.jinja").err()).contains("none.jinja does not exist");
    }

    @Test
    void passesEverySetting() throws IOException {
        CommandRun run = ask(
                "--attention",
                "streaming-llm:budget=64",
                "--device",
                "cpu",
                "--max-tokens",
                "7",
                "--seed",
                "5",
                "--temperature",
                "0.3",
                "--threads",
                "2",
                "--context-length",
                "999",
                "--weights",
                "Q8_0");
        assertThat(run.exit()).as(run.err()).isZero();
        GenerationRequest request = engine.requests.get(0);
        assertThat(request.attention()).isEqualTo(AttentionMethod.parse("streaming-llm:budget=64"));
        assertThat(request.maxOutputTokens()).isEqualTo(7);
        assertThat(request.sampling()).isEqualTo(new SamplingParameters(0.3, 40, 0.9, 0, 1, 0, 0, 5L));
        assertThat(engine.config.model()).isEqualTo("m");
        assertThat(engine.config.device()).isEqualTo("cpu");
        assertThat(engine.config.threads()).isEqualTo(2);
        assertThat(engine.config.contextLength()).isEqualTo(999);
        assertThat(engine.config.weights()).isEqualTo(WeightFormat.Q8_0);
    }

    @Test
    void withoutOptionsTakesTheModelsSampling() throws IOException {
        ask();
        assertThat(engine.requests.get(0).sampling()).isEqualTo(engine.defaultSampling());
        assertThat(engine.requests.get(0).maxOutputTokens()).isEqualTo(512);
        assertThat(engine.config.weights()).isEqualTo(WeightFormat.AS_STORED);
        assertThat(engine.config.device()).isEqualTo("auto");
    }

    @Test
    void jsonIsOneObject() throws IOException {
        CommandRun run = ask("--json", "--attention", "streaming-llm:budget=25%");
        assertThat(run.err()).isEmpty();
        JsonNode json = run.json();
        assertThat(json.fieldNames())
                .toIterable()
                .containsExactly(
                        "model",
                        "device",
                        "attention",
                        "answer",
                        "finish_reason",
                        "prompt_tokens",
                        "generated_tokens",
                        "load_seconds",
                        "queue_seconds",
                        "time_to_first_token_seconds",
                        "total_seconds",
                        "tokens_per_second",
                        "density");
        assertThat(json.path("model").textValue()).isEqualTo("scripted");
        assertThat(json.path("device").textValue()).isEqualTo("a test");
        assertThat(json.path("attention").textValue()).isEqualTo("streaming-llm:budget=25%");
        assertThat(json.path("answer").textValue()).isEqualTo("Ines Steele, naïvely.");
        assertThat(json.path("finish_reason").textValue()).isEqualTo("stop");
        assertThat(json.path("prompt_tokens").intValue()).isEqualTo(3 + ScriptedEngine.CUE_TOKENS);
        assertThat(json.path("generated_tokens").intValue()).isEqualTo(11);
        assertThat(json.path("load_seconds").doubleValue()).isPositive();
        assertThat(json.path("queue_seconds").doubleValue()).isEqualTo(0.1);
        assertThat(json.path("time_to_first_token_seconds").doubleValue()).isEqualTo(0.6);
        assertThat(json.path("total_seconds").doubleValue()).isEqualTo(1.6);
        assertThat(json.path("tokens_per_second").doubleValue()).isEqualTo(10);
        assertThat(json.path("density").doubleValue()).isEqualTo(0.25);
    }

    @Test
    void documentsThatAreNotTextAreNamed() throws IOException {
        String latin1 = Files.write(folder.resolve("latin1.txt"), "Straße".getBytes(StandardCharsets.ISO_8859_1))
                .toString();
        String binary = document("binary.txt", "a\0b");
        for (List<String> bad : List.of(
                List.of(latin1, latin1 + " is not UTF-8 text"),
                List.of(binary, binary + " is not UTF-8 text"),
                List.of(document("empty.txt", " \n"), "empty.txt is empty"),
                List.of(folder.resolve("none.txt").toString(), "none.txt does not exist"),
                List.of(folder.toString(), folder + " can't be read: it is a folder"))) {
            CommandRun run =
                    CommandRun.of(engine, "ask", "--document", bad.get(0), "--question", "Who?", "--model", "m");
            assertThat(run.exit()).isEqualTo(1);
            assertThat(run.err().lines())
                    .singleElement()
                    .asString()
                    .startsWith("skim: ")
                    .contains(bad.get(1));
            assertThat(run.out()).isEmpty();
        }
        assertThat(engine.requests).isEmpty();
    }

    @Test
    void failuresAreOneLineAndMoreWithVerbose() throws IOException {
        ScriptedEngine full = new ScriptedEngine(message -> {
            throw new ContextLengthExceededException("too long");
        });
        String document = document("a.txt", "First.");
        CommandRun run = CommandRun.of(full, "ask", "--document", document, "--question", "Who?", "--model", "m");
        assertThat(run.exit()).isEqualTo(1);
        assertThat(run.err().lines()).containsExactly("skim: too long");
        assertThat(full.closed).isTrue();
        run = CommandRun.of(full, "ask", "--document", document, "--question", "Who?", "--model", "m", "--verbose");
        assertThat(run.exit()).isEqualTo(1);
        assertThat(run.err()).startsWith("skim: too long").contains("\tat ");
    }

    @Test
    void aHeapThatIsTooSmallNamesTheOption() throws IOException {
        ScriptedEngine small = new ScriptedEngine(message -> {
            throw new OutOfMemoryError("Java heap space");
        });
        CommandRun run = CommandRun.of(
                small, "ask", "--document", document("a.txt", "First."), "--question", "Who?", "--model", "m");
        assertThat(run.exit()).isEqualTo(1);
        assertThat(run.err().lines()).singleElement().asString().contains("-Xmx", "--weights q4_0");
        assertThat(small.closed).isTrue();
    }
}
