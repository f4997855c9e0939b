package io.github.skim4j.cli;

import io.github.skim4j.engine.Engine;
import io.github.skim4j.engine.GenerationRequest;
import io.github.skim4j.engine.SamplingParameters;
import io.github.skim4j.engine.chat.ChatMessage;
import java.util.List;
import picocli.CommandLine.Option;

/** How an answer is generated; shared by {@code ask} and {@code chat}. */
final class GenerationOptions {

    @Option(
            names = {"-a", "--attention"},
            paramLabel = "SPEC",
            defaultValue = "dense",
            description =
                    "Attention method: dense, or name:key=value,... such as streaming-llm:budget=1024 or streaming-llm:budget=12.5%% (default: ${DEFAULT-VALUE}).")
    AttentionSpec attention;

    @Option(
            names = "--max-tokens",
            paramLabel = "N",
            defaultValue = "512",
            description = "Most tokens of an answer; 0 goes on to the end of the context (default: ${DEFAULT-VALUE}).")
    private int maxTokens;

    @Option(
            names = "--temperature",
            paramLabel = "T",
            description = "0 always takes the likeliest token (default: the model's own setting).")
    private Double temperature;

    @Option(names = "--seed", paramLabel = "S", description = "Makes sampling repeatable: same seed, same text.")
    private Long seed;

    GenerationRequest request(Engine engine, List<ChatMessage> messages) {
        SamplingParameters own = engine.defaultSampling();
        return GenerationRequest.chat(messages)
                .attention(attention.method())
                .maxOutputTokens(maxTokens)
                .sampling(new SamplingParameters(
                        temperature != null ? temperature : own.temperature(),
                        own.topK(),
                        own.topP(),
                        own.minP(),
                        own.repetitionPenalty(),
                        own.frequencyPenalty(),
                        own.presencePenalty(),
                        seed))
                .build();
    }
}
