package io.github.skim4j.cli;

import io.github.skim4j.engine.AttentionStats;
import io.github.skim4j.engine.Engine;
import io.github.skim4j.engine.EngineConfig;
import io.github.skim4j.engine.EngineStats;
import io.github.skim4j.engine.FinishReason;
import io.github.skim4j.engine.Generation;
import io.github.skim4j.engine.GenerationListener;
import io.github.skim4j.engine.GenerationRequest;
import io.github.skim4j.engine.GenerationResult;
import io.github.skim4j.engine.SamplingParameters;
import io.github.skim4j.engine.chat.ChatMessage;
import io.github.skim4j.engine.tokenizer.Tokenizer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;

/** An engine that answers by a function; a word is a token, and the cue for the answer has {@value #CUE_TOKENS}. */
public final class ScriptedEngine implements Engine {

    public static final int CUE_TOKENS = 3;

    public final List<GenerationRequest> requests = new ArrayList<>();
    public EngineConfig config;
    public boolean closed;
    /** Of 100 tokens, if the attention is sparse. */
    public int attended = 25;

    private final Function<String, String> answers;

    /** Answers the last message by {@code answers}, which may throw. */
    public ScriptedEngine(Function<String, String> answers) {
        this.answers = answers;
    }

    Engine open(EngineConfig config) {
        this.config = config;
        return this;
    }

    @Override
    public Generation generate(GenerationRequest request, GenerationListener listener) {
        requests.add(request);
        List<ChatMessage> messages = ((GenerationRequest.Chat) request.prompt()).messages();
        CompletableFuture<GenerationResult> result = new CompletableFuture<>();
        try {
            String text = answers.apply(messages.get(messages.size() - 1).content());
            for (String word : text.split("(?<= )")) {
                listener.onText(word);
            }
            boolean sparse =
                    request.attention() != null && !request.attention().name().equals("dense");
            result.complete(new GenerationResult(
                    text,
                    List.of(),
                    FinishReason.STOP,
                    countTokens(messages) + CUE_TOKENS,
                    0,
                    11,
                    Duration.ofMillis(100),
                    Duration.ofMillis(600),
                    Duration.ofMillis(1600),
                    sparse ? AttentionStats.ofTokens(attended, 100, 0) : AttentionStats.NONE));
            listener.onComplete(result.join());
        } catch (RuntimeException e) {
            result.completeExceptionally(e);
            listener.onError(e);
        }
        return new Generation() {
            @Override
            public void cancel() {
                throw new UnsupportedOperationException("the program does not cancel");
            }

            @Override
            public CompletableFuture<GenerationResult> result() {
                return result;
            }
        };
    }

    @Override
    public int countTokens(List<ChatMessage> messages) {
        return messages.stream()
                .mapToInt(message -> message.content().split("\\s+").length)
                .sum();
    }

    @Override
    public Tokenizer tokenizer() {
        throw new UnsupportedOperationException("the program does not tokenise");
    }

    @Override
    public String modelName() {
        return "scripted";
    }

    @Override
    public int contextLength() {
        return 4096;
    }

    @Override
    public SamplingParameters defaultSampling() {
        return new SamplingParameters(0.7, 40, 0.9, 0, 1, 0, 0, null);
    }

    @Override
    public EngineStats stats() {
        return new EngineStats("a test", null, null, 10, 10, 16, 0, 0, 0, 0, 0, 0, 0, 0, AttentionStats.NONE);
    }

    @Override
    public void close() {
        closed = true;
    }
}
