package io.github.skim4j.spring;

import io.github.skim4j.engine.AttentionStats;
import io.github.skim4j.engine.AttentionStats.Probe;
import io.github.skim4j.engine.AttentionStats.Time;
import io.github.skim4j.engine.Engine;
import io.github.skim4j.engine.EngineClosedException;
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
import java.util.List;
import java.util.concurrent.CompletableFuture;

/** Answers each request with {@value #ANSWER}, at once or when {@link #release} is called. */
public class ScriptedEngine implements Engine {

    public static final String ANSWER = "scripted answer";

    /** Of each generation and since the start. */
    public static final AttentionStats ATTENTION =
            new AttentionStats(25, 100, 5, 3, 30, 100, new Time(1, 8), new Probe(4, 3.6, 0.2));

    private final CompletableFuture<Void> released = new CompletableFuture<>();
    private volatile GenerationRequest lastRequest;
    private volatile int running;
    private volatile int queued;
    private volatile boolean closed;
    private volatile String fallbackReason;
    private volatile AttentionStats attention = ATTENTION;

    public static ScriptedEngine holding() {
        return new ScriptedEngine();
    }

    public static ScriptedEngine immediate() {
        ScriptedEngine engine = new ScriptedEngine();
        engine.release();
        return engine;
    }

    public void release() {
        released.complete(null);
    }

    public void queue(int requests) {
        queued = requests;
    }

    public void fallBack(String reason) {
        fallbackReason = reason;
    }

    /** What attention read since the start. */
    public void attended(AttentionStats sinceTheStart) {
        attention = sinceTheStart;
    }

    public GenerationRequest lastRequest() {
        return lastRequest;
    }

    public boolean isClosed() {
        return closed;
    }

    public static GenerationResult result() {
        return new GenerationResult(
                ANSWER,
                List.of(1, 2, 3),
                FinishReason.STOP,
                10,
                6,
                3,
                Duration.ofMillis(5),
                Duration.ofMillis(100),
                Duration.ofMillis(500),
                ATTENTION);
    }

    @Override
    public Generation generate(GenerationRequest request, GenerationListener listener) {
        lastRequest = request;
        running++;
        CompletableFuture<GenerationResult> result = released.thenApply(none -> {
            running--;
            listener.onText(ANSWER);
            listener.onComplete(result());
            return result();
        });
        return new Generation() {
            @Override
            public void cancel() {}

            @Override
            public CompletableFuture<GenerationResult> result() {
                return result;
            }
        };
    }

    @Override
    public int countTokens(List<ChatMessage> messages) {
        return 7 * messages.size();
    }

    @Override
    public Tokenizer tokenizer() {
        throw new UnsupportedOperationException();
    }

    @Override
    public String modelName() {
        return "scripted-model";
    }

    @Override
    public int contextLength() {
        return 4096;
    }

    @Override
    public SamplingParameters defaultSampling() {
        return SamplingParameters.GREEDY;
    }

    @Override
    public EngineStats stats() {
        return new EngineStats(
                "CPU, 1 thread",
                fallbackReason,
                closed ? "the engine is closed" : null,
                256,
                200,
                16,
                running,
                queued,
                20,
                4,
                1,
                1000,
                400,
                100,
                attention);
    }

    @Override
    public void close() {
        closed = true;
        released.completeExceptionally(new EngineClosedException("the engine is closed"));
    }
}
