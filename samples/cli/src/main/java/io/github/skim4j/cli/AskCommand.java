package io.github.skim4j.cli;

import io.github.skim4j.engine.Engine;
import io.github.skim4j.engine.GenerationRequest;
import io.github.skim4j.engine.GenerationResult;
import io.github.skim4j.engine.chat.ChatMessage;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** One question over documents. */
@Command(
        name = "ask",
        description =
                "Answers a question over documents. The answer goes to the output, statistics to the error stream.",
        mixinStandardHelpOptions = true,
        versionProvider = Version.class)
final class AskCommand implements Callable<Integer> {

    private final Host host;

    @Spec
    private CommandSpec spec;

    @Option(
            names = {"-d", "--document"},
            paramLabel = "F",
            required = true,
            arity = "1..*",
            description = "Text files in UTF-8; they stand before the question.")
    private List<Path> documents;

    @Option(
            names = {"-q", "--question"},
            paramLabel = "Q",
            required = true,
            description = "What to ask.")
    private String question;

    @Mixin
    private EngineOptions engineOptions;

    @Mixin
    private GenerationOptions generationOptions;

    @Option(names = "--json", description = "Print one JSON object in place of the text.")
    private boolean json;

    AskCommand(Host host) {
        this.host = host;
    }

    @Override
    public Integer call() {
        List<ChatMessage> messages = List.of(ChatMessage.user(Documents.prompt(documents, question)));
        long start = System.nanoTime();
        try (Engine engine = engineOptions.open(host)) {
            Duration load = Duration.ofNanos(System.nanoTime() - start);
            GenerationRequest request = generationOptions.request(engine, messages);
            if (json) {
                GenerationResult result = Generations.await(engine, request);
                Json.print(answer(engine, load, result), spec.commandLine().getOut());
            } else {
                GenerationResult result =
                        Generations.stream(engine, request, spec.commandLine().getOut());
                spec.commandLine().getErr().println(Generations.summary(result));
            }
        }
        return 0;
    }

    private Answer answer(Engine engine, Duration load, GenerationResult result) {
        return new Answer(
                engine.modelName(),
                engine.stats().device(),
                generationOptions.attention.text(),
                result.text(),
                Generations.finish(result),
                result.promptTokens(),
                result.generatedTokens(),
                seconds(load),
                seconds(result.queueTime()),
                seconds(result.timeToFirstToken()),
                seconds(result.totalTime()),
                result.tokensPerSecond(),
                result.attention().density());
    }

    private static double seconds(Duration duration) {
        return duration.toNanos() / 1e9;
    }

    private record Answer(
            String model,
            String device,
            String attention,
            String answer,
            String finishReason,
            int promptTokens,
            int generatedTokens,
            double loadSeconds,
            double queueSeconds,
            double timeToFirstTokenSeconds,
            double totalSeconds,
            double tokensPerSecond,
            double density) {}
}
