package io.github.skim4j.spring;

import static org.assertj.core.api.Assertions.assertThat;

import dev.langchain4j.data.message.UserMessage;
import dev.langchain4j.model.TokenCountEstimator;
import dev.langchain4j.model.chat.ChatModel;
import dev.langchain4j.model.chat.StreamingChatModel;
import dev.langchain4j.model.chat.listener.ChatModelListener;
import dev.langchain4j.model.chat.listener.ChatModelRequestContext;
import dev.langchain4j.model.chat.request.ChatRequest;
import dev.langchain4j.model.chat.request.ChatRequestParameters;
import dev.langchain4j.model.chat.response.ChatResponse;
import dev.langchain4j.model.chat.response.StreamingChatResponseHandler;
import dev.langchain4j.service.AiServices;
import dev.langchain4j.service.Result;
import io.github.skim4j.engine.Engine;
import io.github.skim4j.engine.EngineConfig;
import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.langchain4j.SkimChatModel;
import io.github.skim4j.langchain4j.SkimChatRequestParameters;
import io.github.skim4j.langchain4j.SkimChatResponseMetadata;
import io.github.skim4j.langchain4j.SkimStreamingChatModel;
import io.github.skim4j.langchain4j.SkimTokenCountEstimator;
import io.github.skim4j.spring.actuate.SkimEndpointAutoConfiguration;
import io.github.skim4j.spring.actuate.SkimHealthAutoConfiguration;
import io.github.skim4j.spring.actuate.SkimMetricsAutoConfiguration;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.mockito.Mockito;
import org.springframework.boot.LazyInitializationBeanFactoryPostProcessor;
import org.springframework.boot.autoconfigure.AutoConfigurations;
import org.springframework.boot.test.context.FilteredClassLoader;
import org.springframework.boot.test.context.runner.ApplicationContextRunner;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.core.annotation.Order;
import org.springframework.core.io.ClassPathResource;

class SkimAutoConfigurationTest {

    private final ScriptedEngine engine = ScriptedEngine.immediate();

    /** Without an engine: what doesn't need one to be opened. */
    private final ApplicationContextRunner bare =
            new ApplicationContextRunner().withConfiguration(AutoConfigurations.of(SkimAutoConfiguration.class));

    private final ApplicationContextRunner runner = bare.withBean(Engine.class, () -> engine);

    @Test
    void modelsAndEstimatorShareTheEngine() {
        runner.run(context -> {
            assertThat(context.getBean(ChatModel.class))
                    .isInstanceOf(SkimChatModel.class)
                    .extracting(model -> model.chat("hello"))
                    .isEqualTo(ScriptedEngine.ANSWER);
            assertThat(stream(context.getBean(StreamingChatModel.class))).isEqualTo(ScriptedEngine.ANSWER);
            assertThat(context.getBean(TokenCountEstimator.class)
                            .estimateTokenCountInMessage(UserMessage.from("hello")))
                    .isEqualTo(7);
            assertThat(context).hasSingleBean(SkimStreamingChatModel.class).hasSingleBean(Engine.class);
        });
    }

    private static String stream(StreamingChatModel model) throws Exception {
        CompletableFuture<ChatResponse> response = new CompletableFuture<>();
        model.chat("hello", new StreamingChatResponseHandler() {
            @Override
            public void onCompleteResponse(ChatResponse complete) {
                response.complete(complete);
            }

            @Override
            public void onError(Throwable error) {
                response.completeExceptionally(error);
            }
        });
        return response.get(5, TimeUnit.SECONDS).aiMessage().text();
    }

    @Test
    void propertiesReachTheModels() {
        runner.withPropertyValues("langchain4j.skim.chat-model.max-output-tokens=17")
                .run(context -> {
                    context.getBean(ChatModel.class).chat("hello");

                    assertThat(engine.lastRequest().maxOutputTokens()).isEqualTo(17);
                });
    }

    /** With lazy beans, and with the one that is not replaced, so that no model is loaded. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "dense | | dense",
                "quest | 1024 | quest:budget=1024",
                "sketch | 3% | sketch:budget=3%",
                "double-sparsity | 6% | double-sparsity:budget=6%",
                "twilight | | twilight",
                "vattention | | vattention",
                "streaming-llm | 12.5% | streaming-llm:budget=12.5%",
                "h2o | 1024 | h2o:budget=1024",
                "tova | 1024 | tova:budget=1024",
                "snapkv | 1024 | snapkv:budget=1024",
                "oracle | 3% | oracle:budget=3%",
                "random | 3% | random:budget=3%"
            })
    void everyAttentionMethodReachesTheEnginesSettings(String method, String budget, String expected) {
        bare.withPropertyValues("langchain4j.skim.model=m", "langchain4j.skim.attention.method=" + method)
                .withPropertyValues(
                        budget == null ? new String[0] : new String[] {"langchain4j.skim.attention.budget=" + budget})
                .withBean(LazyInitializationBeanFactoryPostProcessor.class)
                .withBean(EngineDrain.class, () -> new EngineDrain(engine, Duration.ZERO))
                .run(context -> assertThat(
                                context.getBean(EngineConfig.class).attention().spec())
                        .isEqualTo(AttentionMethod.parse(expected).spec()));
    }

    interface Assistant {
        Result<String> answer(@dev.langchain4j.service.UserMessage String question, ChatRequestParameters parameters);
    }

    @Test
    void aRequestChoosesItsAttentionMethodAndTellsWhatItRead() {
        runner.run(context -> {
            Assistant assistant = AiServices.create(Assistant.class, context.getBean(ChatModel.class));

            Result<String> result = assistant.answer(
                    "hello",
                    SkimChatRequestParameters.builder()
                            .attention("quest:budget=1024")
                            .build());

            assertThat(engine.lastRequest().attention()).isEqualTo(AttentionMethod.parse("quest:budget=1024"));
            SkimChatResponseMetadata metadata =
                    (SkimChatResponseMetadata) result.finalResponse().metadata();
            assertThat(metadata.attention()).isEqualTo(ScriptedEngine.ATTENTION);
            assertThat(metadata.keptMass()).isEqualTo(0.9);
        });
    }

    @Test
    void disabled() {
        bare.withPropertyValues("langchain4j.skim.enabled=false")
                .run(context -> assertThat(context)
                        .hasNotFailed()
                        .doesNotHaveBean(Engine.class)
                        .doesNotHaveBean(ChatModel.class));
    }

    @Test
    void beansOfTheApplicationComeFirst() {
        runner.withUserConfiguration(OwnBeans.class).run(context -> {
            assertThat(context)
                    .hasSingleBean(ChatModel.class)
                    .hasSingleBean(StreamingChatModel.class)
                    .hasSingleBean(TokenCountEstimator.class)
                    .hasSingleBean(Engine.class)
                    .doesNotHaveBean(EngineConfig.class)
                    .doesNotHaveBean(SkimChatModel.class)
                    .doesNotHaveBean(SkimStreamingChatModel.class)
                    .doesNotHaveBean(SkimTokenCountEstimator.class);
        });
    }

    @Configuration(proxyBeanMethods = false)
    static class OwnBeans {

        @Bean
        ChatModel ownChatModel() {
            return new ChatModel() {};
        }

        @Bean
        StreamingChatModel ownStreamingChatModel() {
            return new StreamingChatModel() {};
        }

        @Bean
        TokenCountEstimator ownEstimator() {
            return Mockito.mock();
        }
    }

    @Test
    void listenersAreCalledInOrder() {
        List<String> calls = new ArrayList<>();
        runner.withBean("calls", List.class, () -> calls)
                .withUserConfiguration(Listeners.class)
                .run(context -> {
                    context.getBean(ChatModel.class)
                            .chat(ChatRequest.builder()
                                    .messages(UserMessage.from("hello"))
                                    .build());

                    assertThat(calls).containsExactly("first", "second");
                });
    }

    @Configuration(proxyBeanMethods = false)
    static class Listeners {

        @Bean
        @Order(2)
        ChatModelListener second(List<String> calls) {
            return listener(calls, "second");
        }

        @Bean
        @Order(1)
        ChatModelListener first(List<String> calls) {
            return listener(calls, "first");
        }

        private static ChatModelListener listener(List<String> calls, String name) {
            return new ChatModelListener() {
                @Override
                public void onRequest(ChatModelRequestContext context) {
                    calls.add(name);
                }
            };
        }
    }

    @Test
    void closingTheContextClosesTheEngine() {
        runner.run(context -> {
            assertThat(engine.isClosed()).isFalse();
            context.close();
            assertThat(engine.isClosed()).isTrue();
        });
    }

    @Test
    void startsWithoutActuatorAndMicrometer() {
        new ApplicationContextRunner()
                .withConfiguration(AutoConfigurations.of(
                        SkimAutoConfiguration.class,
                        SkimEndpointAutoConfiguration.class,
                        SkimHealthAutoConfiguration.class,
                        SkimMetricsAutoConfiguration.class))
                .withBean(Engine.class, () -> engine)
                .withClassLoader(new FilteredClassLoader(
                        "org.springframework.boot.actuate",
                        "org.springframework.boot.health",
                        "org.springframework.boot.micrometer",
                        "io.micrometer"))
                .run(context -> assertThat(context).hasNotFailed().hasSingleBean(ChatModel.class));
    }

    @Test
    void noModel() {
        bare.withClassLoader(new FilteredClassLoader(new ClassPathResource(DefaultModel.MARKER)))
                .run(context -> assertThat(context).getFailure().rootCause().isInstanceOf(NoModelException.class));
    }
}
