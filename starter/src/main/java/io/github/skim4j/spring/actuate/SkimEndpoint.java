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
        return new State(
                engine.modelName(),
                stats.device(),
                stats.fallbackReason(),
                stats.failure(),
                engine.contextLength(),
                attention(stats.attention()),
                new Pages(stats.pagesTotal(), stats.pagesFree(), stats.pageSize()),
                new Requests(stats.running(), stats.queued(), stats.completed(), stats.cancelled(), stats.failed()),
                new Tokens(stats.promptTokens(), stats.cachedTokens(), stats.generatedTokens()));
    }

    private Attention attention(AttentionStats stats) {
        AttentionStats.Probe probe = stats.probe();
        return new Attention(
                config == null ? null : config.attention().spec(),
                config == null ? null : config.minContext(),
                stats.density(),
                stats.traffic(),
                stats.tokensAttended(),
                stats.tokensTotal(),
                stats.tokensEvicted(),
                stats.pagesRead(),
                stats.time().selectionShare(),
                probe.samples() == 0 ? null : new RecallProbe(probe.samples(), probe.keptMass(), probe.outputError()));
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
     * What sparse attention read since the start, all methods together.
     *
     * @param method default of requests that choose none, with its settings
     * @param minContext {@code null} if the device decides
     * @param density attended share of the tokens that sparse attention could have read
     * @param traffic bytes read, selection included, relative to dense attention's
     * @param selectionTimeShare share of attention's time that it took to find out what to read; {@code null} if no time was measured
     * @param recallProbe {@code null} without samples
     */
    public record Attention(
            String method,
            Integer minContext,
            double density,
            double traffic,
            long tokensAttended,
            long tokensTotal,
            long tokensEvicted,
            long pagesRead,
            Double selectionTimeShare,
            RecallProbe recallProbe) {}

    /**
     * @param keptMass mean share of the attention that fell on what was read
     * @param outputError mean relative error of the heads' outputs
     */
    public record RecallProbe(long samples, double keptMass, double outputError) {}

    /** @param size tokens in a page */
    public record Pages(int total, int free, int size) {}

    /** Requests now and since the start. */
    public record Requests(int running, int queued, long completed, long cancelled, long failed) {}

    /**
     * Tokens processed since the start.
     *
     * @param cached how many of the prompts' tokens had their keys and values in the prefix cache
     */
    public record Tokens(long prompt, long cached, long generated) {}
}
