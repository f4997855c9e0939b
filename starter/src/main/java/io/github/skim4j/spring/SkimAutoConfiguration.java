package io.github.skim4j.spring;

import dev.langchain4j.model.TokenCountEstimator;
import dev.langchain4j.model.chat.ChatModel;
import dev.langchain4j.model.chat.StreamingChatModel;
import dev.langchain4j.model.chat.listener.ChatModelListener;
import io.github.skim4j.engine.Engine;
import io.github.skim4j.engine.EngineConfig;
import io.github.skim4j.engine.EngineObserver;
import io.github.skim4j.engine.GenerationResult;
import io.github.skim4j.engine.SkimException;
import io.github.skim4j.engine.backend.DeviceMemoryException;
import io.github.skim4j.engine.tokenizer.TokenCache;
import io.github.skim4j.langchain4j.SkimChatModel;
import io.github.skim4j.langchain4j.SkimStreamingChatModel;
import io.github.skim4j.langchain4j.SkimTokenCountEstimator;
import java.time.Duration;
import java.util.List;
import org.springframework.beans.factory.ObjectProvider;
import org.springframework.boot.autoconfigure.AutoConfiguration;
import org.springframework.boot.autoconfigure.condition.ConditionalOnBooleanProperty;
import org.springframework.boot.autoconfigure.condition.ConditionalOnMissingBean;
import org.springframework.boot.context.properties.EnableConfigurationProperties;
import org.springframework.context.annotation.Bean;
import org.springframework.core.io.ResourceLoader;

/** Loads a model once and offers it as LangChain4j's chat models and token count estimator. */
@AutoConfiguration
@ConditionalOnBooleanProperty(prefix = SkimProperties.PREFIX, name = "enabled", matchIfMissing = true)
@EnableConfigurationProperties(SkimProperties.class)
public class SkimAutoConfiguration {

    @Bean
    @ConditionalOnMissingBean({TokenCache.class, Engine.class})
    CaffeineTokenCache skimTokenCache(SkimProperties properties) {
        return InvalidSkimPropertyException.apply(
                "token-cache.memory",
                properties.getTokenCache().getMemory(),
                null,
                (none, memory) -> new CaffeineTokenCache(memory));
    }

    @Bean
    @ConditionalOnMissingBean({EngineConfig.class, Engine.class})
    EngineConfig skimEngineConfig(
            SkimProperties properties,
            ResourceLoader resourceLoader,
            ObjectProvider<TokenCache> tokenCache,
            ObjectProvider<EngineObserver> observers) {
        return new EngineConfigFactory(properties, resourceLoader.getClassLoader())
                .create(
                        tokenCache.getObject(),
                        new Observers(observers.orderedStream().toList()));
    }

    @Bean(destroyMethod = "close")
    @ConditionalOnMissingBean
    Engine skimEngine(EngineConfig config) {
        try {
            return Engine.open(config);
        } catch (OutOfMemoryError e) {
            throw new DeviceMemoryException(
                    "Memory is too small to load model '" + config.model() + "': " + e.getMessage(), e);
        } catch (IllegalArgumentException e) {
            throw new SkimException("Can't open model '" + config.model() + "': " + e.getMessage(), e);
        }
    }

    @Bean
    @ConditionalOnMissingBean
    EngineDrain skimEngineDrain(Engine engine, SkimProperties properties) {
        return new EngineDrain(engine, properties.getShutdownTimeout());
    }

    @Bean
    @ConditionalOnMissingBean(ChatModel.class)
    SkimChatModel skimChatModel(Engine engine, SkimProperties properties, ObjectProvider<ChatModelListener> listeners) {
        return new ModelFactory(
                        properties.getChatModel(),
                        engine,
                        listeners.orderedStream().toList())
                .chatModel();
    }

    @Bean
    @ConditionalOnMissingBean(StreamingChatModel.class)
    SkimStreamingChatModel skimStreamingChatModel(
            Engine engine, SkimProperties properties, ObjectProvider<ChatModelListener> listeners) {
        return new ModelFactory(
                        properties.getChatModel(),
                        engine,
                        listeners.orderedStream().toList())
                .streamingChatModel();
    }

    @Bean
    @ConditionalOnMissingBean(TokenCountEstimator.class)
    SkimTokenCountEstimator skimTokenCountEstimator(Engine engine) {
        return new SkimTokenCountEstimator(engine);
    }

    private record Observers(List<EngineObserver> observers) implements EngineObserver {

        @Override
        public void onComplete(GenerationResult result) {
            observers.forEach(observer -> observer.onComplete(result));
        }

        @Override
        public void onError(Throwable error, Duration totalTime) {
            observers.forEach(observer -> observer.onError(error, totalTime));
        }
    }
}
