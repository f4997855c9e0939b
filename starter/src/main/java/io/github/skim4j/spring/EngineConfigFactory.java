package io.github.skim4j.spring;

import static io.github.skim4j.spring.InvalidSkimPropertyException.apply;

import io.github.skim4j.engine.EngineConfig;
import io.github.skim4j.engine.EngineObserver;
import io.github.skim4j.engine.SchedulerConfig;
import io.github.skim4j.engine.kv.KvCacheConfig;
import io.github.skim4j.engine.model.HubConfig;
import io.github.skim4j.engine.tokenizer.TokenCache;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.function.BiFunction;
import org.springframework.boot.io.ApplicationResourceLoader;
import org.springframework.core.io.Resource;
import org.springframework.util.StringUtils;

/** Makes an engine's configuration of the properties. */
final class EngineConfigFactory {

    private final SkimProperties properties;
    private final ClassLoader classLoader;

    EngineConfigFactory(SkimProperties properties, ClassLoader classLoader) {
        this.properties = properties;
        this.classLoader = classLoader;
    }

    /**
     * @throws NoModelException if there is none to load
     * @throws InvalidSkimPropertyException naming a property whose value does not do
     */
    EngineConfig create(TokenCache tokenCache, EngineObserver observer) {
        String model = StringUtils.hasText(properties.getModel())
                ? properties.getModel().trim()
                : DefaultModel.find(classLoader);
        KvCacheConfig kvCache = kvCache();
        AttentionProperties attention = properties.getAttention();
        EngineConfig.Builder builder = EngineConfig.builder(model)
                .attention(new AttentionMethodFactory(attention, kvCache.pageSize()).create())
                .kvCache(kvCache)
                .scheduler(scheduler())
                .hub(hub())
                .tokenCache(tokenCache)
                .observer(observer);
        set(builder, "device", properties.getDevice(), EngineConfig.Builder::device);
        set(builder, "context-length", properties.getContextLength(), EngineConfig.Builder::contextLength);
        set(builder, "threads", properties.getThreads(), EngineConfig.Builder::threads);
        set(builder, "weights", properties.getWeights(), EngineConfig.Builder::weights);
        set(builder, "chat-template", properties.getChatTemplate(), (b, text) -> b.chatTemplate(chatTemplate(text)));
        set(builder, "attention.min-context", attention.getMinContext(), EngineConfig.Builder::minContext);
        set(builder, "attention.recall-probe", attention.getRecallProbe(), EngineConfig.Builder::recallProbe);
        return builder.build();
    }

    /** Builds after each change, so that it is known which property is at fault. */
    private static <V> void set(
            EngineConfig.Builder builder,
            String property,
            V value,
            BiFunction<EngineConfig.Builder, V, EngineConfig.Builder> change) {
        apply(property, value, builder, (b, v) -> {
            change.apply(b, v).build();
            return b;
        });
    }

    private KvCacheConfig kvCache() {
        SkimProperties.KvCache kvCache = properties.getKvCache();
        KvCacheConfig config = KvCacheConfig.DEFAULT;
        config = apply(
                "kv-cache.page-size",
                kvCache.getPageSize(),
                config,
                (c, size) -> new KvCacheConfig(size, c.type(), c.memory(), c.prefixCache()));
        config = apply(
                "kv-cache.type",
                kvCache.getType(),
                config,
                (c, type) -> new KvCacheConfig(c.pageSize(), type, c.memory(), c.prefixCache()));
        config = apply(
                "kv-cache.memory",
                kvCache.getMemory(),
                config,
                (c, memory) -> new KvCacheConfig(c.pageSize(), c.type(), memory.toBytes(), c.prefixCache()));
        return apply(
                "kv-cache.prefix-cache",
                kvCache.getPrefixCache(),
                config,
                (c, prefixCache) -> new KvCacheConfig(c.pageSize(), c.type(), c.memory(), prefixCache));
    }

    private SchedulerConfig scheduler() {
        SkimProperties.Scheduler scheduler = properties.getScheduler();
        SchedulerConfig config = SchedulerConfig.DEFAULT;
        config = apply(
                "scheduler.max-batch-size",
                scheduler.getMaxBatchSize(),
                config,
                (c, size) -> new SchedulerConfig(size, c.prefillChunk(), c.queueCapacity()));
        config = apply(
                "scheduler.prefill-chunk",
                scheduler.getPrefillChunk(),
                config,
                (c, chunk) -> new SchedulerConfig(c.maxBatchSize(), chunk, c.queueCapacity()));
        return apply(
                "scheduler.queue-capacity",
                scheduler.getQueueCapacity(),
                config,
                (c, capacity) -> new SchedulerConfig(c.maxBatchSize(), c.prefillChunk(), capacity));
    }

    private HubConfig hub() {
        SkimProperties.Hub hub = properties.getHub();
        HubConfig environment = HubConfig.fromEnvironment();
        HubConfig config = new HubConfig(
                environment.endpoint(),
                hub.getToken() != null ? hub.getToken() : environment.token(),
                hub.getCache() != null ? hub.getCache() : environment.cache(),
                hub.getOffline() != null ? hub.getOffline() : environment.offline(),
                new DownloadLog());
        return apply(
                "hub.endpoint",
                hub.getEndpoint(),
                config,
                (c, endpoint) -> new HubConfig(endpoint, c.token(), c.cache(), c.offline(), c.progress()));
    }

    /** The text itself, which has Jinja's marks in it, or that of the resource it names. */
    private String chatTemplate(String textOrLocation) {
        if (textOrLocation.contains("{{") || textOrLocation.contains("{%")) {
            return textOrLocation;
        }
        Resource resource = ApplicationResourceLoader.get(classLoader).getResource(textOrLocation.trim());
        try {
            return resource.getContentAsString(StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new IllegalArgumentException(
                    "it has no {{ or {% of a Jinja template and names no readable resource (" + e.getMessage() + ")",
                    e);
        }
    }
}
