package io.github.skim4j.engine;

import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.attention.Dense;
import io.github.skim4j.engine.kv.KvCacheConfig;
import io.github.skim4j.engine.model.HubConfig;
import io.github.skim4j.engine.model.WeightFormat;
import io.github.skim4j.engine.tokenizer.TokenCache;
import java.util.Objects;

/**
 * What an engine is opened with; see {@link Builder} for the meaning and default of each setting.
 */
public record EngineConfig(
        String model,
        String device,
        int contextLength,
        int threads,
        WeightFormat weights,
        AttentionMethod attention,
        Integer minContext,
        double recallProbe,
        KvCacheConfig kvCache,
        SchedulerConfig scheduler,
        String chatTemplate,
        HubConfig hub,
        TokenCache tokenCache,
        EngineObserver observer) {

    public EngineConfig {
        if (model == null || model.isBlank()) {
            throw new IllegalArgumentException(
                    "no model is set: give a path, a classpath: resource or a Hugging Face id such as owner/name");
        }
        requireNotNegative(contextLength, "context-length", "automatic");
        requireNotNegative(threads, "threads", "automatic");
        if (minContext != null) {
            requireNotNegative(minContext, "attention min-context", "off");
        }
        if (!(recallProbe >= 0 && recallProbe <= 1)) {
            throw new IllegalArgumentException(
                    "attention recall-probe must be between 0 (off) and 1, but is " + recallProbe);
        }
        Objects.requireNonNull(device, "device");
        Objects.requireNonNull(weights, "weights");
        Objects.requireNonNull(attention, "attention");
        Objects.requireNonNull(kvCache, "kvCache");
        attention.requireFits(kvCache.pageSize());
        Objects.requireNonNull(scheduler, "scheduler");
        Objects.requireNonNull(hub, "hub");
        Objects.requireNonNull(tokenCache, "tokenCache");
        Objects.requireNonNull(observer, "observer");
    }

    private static void requireNotNegative(int value, String name, String zero) {
        if (value < 0) {
            throw new IllegalArgumentException(name + " must be 0 (" + zero + ") or more, but is " + value);
        }
    }

    /** A builder for {@code model}: a path, {@code classpath:…}, or a Hugging Face id {@code owner/name[@revision]}. */
    public static Builder builder(String model) {
        return new Builder(model);
    }

    /** Collects settings. */
    public static final class Builder {

        private final String model;
        private String device = "auto";
        private int contextLength;
        private int threads;
        private WeightFormat weights = WeightFormat.AS_STORED;
        private AttentionMethod attention = new Dense();
        private Integer minContext;
        private double recallProbe;
        private KvCacheConfig kvCache = KvCacheConfig.DEFAULT;
        private SchedulerConfig scheduler = SchedulerConfig.DEFAULT;
        private String chatTemplate;
        private HubConfig hub = HubConfig.fromEnvironment();
        private TokenCache tokenCache = TokenCache.NONE;
        private EngineObserver observer = EngineObserver.NONE;

        private Builder(String model) {
            this.model = model;
        }

        /** {@code auto} (default), {@code cpu}, or a device with an optional number, such as {@code cuda:1}. */
        public Builder device(String device) {
            this.device = device;
            return this;
        }

        /** Most tokens of a prompt with its answer; 0 (default) takes the model's own. */
        public Builder contextLength(int contextLength) {
            this.contextLength = contextLength;
            return this;
        }

        /** CPU threads; 0 (default) takes all cores. */
        public Builder threads(int threads) {
            this.threads = threads;
            return this;
        }

        /** Whether matrices are quantised while they are loaded; as stored by default. */
        public Builder weights(WeightFormat weights) {
            this.weights = weights;
            return this;
        }

        /** Method of requests that choose none; dense by default. */
        public Builder attention(AttentionMethod attention) {
            this.attention = attention;
            return this;
        }

        /**
         * Sequences shorter than this many tokens are attended densely whatever the method. {@code null} (default) leaves it to the
         * device: as many as make a selecting method faster than dense attention on a GPU, 0 on a CPU.
         */
        public Builder minContext(Integer minContext) {
            this.minContext = minContext;
            return this;
        }

        /**
         * Share of the decode steps, 0 … 1, in which the attention of one layer and KV head is also computed densely, to report in {@link
         * AttentionStats#probe()} what the method costs; 0 (off) by default. At 0.01 it costs next to nothing.
         */
        public Builder recallProbe(double share) {
            this.recallProbe = share;
            return this;
        }

        public Builder kvCache(KvCacheConfig kvCache) {
            this.kvCache = kvCache;
            return this;
        }

        public Builder scheduler(SchedulerConfig scheduler) {
            this.scheduler = scheduler;
            return this;
        }

        /** A Jinja chat template in place of the model's own; {@code null} (default) takes the model's. */
        public Builder chatTemplate(String chatTemplate) {
            this.chatTemplate = chatTemplate;
            return this;
        }

        /** How models are downloaded. */
        public Builder hub(HubConfig hub) {
            this.hub = hub;
            return this;
        }

        /** Keeps tokens of texts that come again; none by default. */
        public Builder tokenCache(TokenCache tokenCache) {
            this.tokenCache = tokenCache;
            return this;
        }

        /** Watches all generations. */
        public Builder observer(EngineObserver observer) {
            this.observer = observer;
            return this;
        }

        public EngineConfig build() {
            return new EngineConfig(
                    model,
                    device,
                    contextLength,
                    threads,
                    weights,
                    attention,
                    minContext,
                    recallProbe,
                    kvCache,
                    scheduler,
                    chatTemplate,
                    hub,
                    tokenCache,
                    observer);
        }
    }
}
