package io.github.skim4j.spring.actuate;

import io.github.skim4j.engine.AttentionStats;
import io.github.skim4j.engine.Engine;
import io.github.skim4j.engine.EngineConfig;
import io.github.skim4j.engine.EngineStats;
import org.springframework.boot.actuate.endpoint.annotation.Endpoint;
import org.springframework.boot.actuate.endpoint.annotation.ReadOperation;

/** What the engine runs with and how it fares. */
@Endpoint(id = "skim")
public class SkimEndpoint {

    private final Engine engine;
    private final EngineConfig config;

    /** @param config what the engine was opened with; {@code null} if that is not known */
    public SkimEndpoint(Engine engine, EngineConfig config) {
        this.engine = engine;
        this.config = config;
    }

    @ReadOperation
    public State state() {
        EngineStats stats = engine.stats();
        AttentionStats attention = stats.attention();
        return new State(
                engine.modelName(),
                stats.device(),
                stats.fallbackReason(),
                stats.failure(),
                engine.contextLength(),
                new Attention(
                        config == null ? null : config.attention().spec(),
                        config == null ? null : config.minContext(),
                        attention.density(),
                        attention.tokensAttended(),
                        attention.tokensTotal(),
                        attention.tokensEvicted()),
                new Pages(stats.pagesTotal(), stats.pagesFree(), stats.pageSize()),
                new Requests(stats.running(), stats.queued(), stats.completed(), stats.cancelled(), stats.failed()),
                new Tokens(stats.promptTokens(), stats.generatedTokens()));
    }

    /** The response. */
    public record State(
            String model,
            String device,
            String fallbackReason,
            String failure,
            int contextLength,
            Attention attention,
            Pages pages,
            Requests requests,
            Tokens tokens) {}

    /**
     * @param method default of requests that choose none, with its settings
     * @param density attended share of the tokens that sparse attention could have read
     */
    public record Attention(
            String method,
            Integer minContext,
            double density,
            long tokensAttended,
            long tokensTotal,
            long tokensEvicted) {}

    /** @param size tokens in a page */
    public record Pages(int total, int free, int size) {}

    /** Requests now and since the start. */
    public record Requests(int running, int queued, long completed, long cancelled, long failed) {}

    /** Tokens processed since the start. */
    public record Tokens(long prompt, long generated) {}
}
