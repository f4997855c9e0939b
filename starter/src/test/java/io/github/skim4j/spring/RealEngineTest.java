package io.github.skim4j.spring;

import static org.assertj.core.api.Assertions.assertThat;

import dev.langchain4j.data.message.UserMessage;
import dev.langchain4j.model.chat.ChatModel;
import io.github.skim4j.engine.Engine;
import io.github.skim4j.engine.EngineConfig;
import io.github.skim4j.engine.EngineObserver;
import io.github.skim4j.engine.GenerationResult;
import io.github.skim4j.engine.tokenizer.TokenCache;
import io.github.skim4j.langchain4j.SkimChatResponseMetadata;
import java.io.IOException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.springframework.boot.autoconfigure.AutoConfigurations;
import org.springframework.boot.test.context.runner.ApplicationContextRunner;
import org.springframework.boot.test.system.CapturedOutput;
import org.springframework.boot.test.system.OutputCaptureExtension;
import org.springframework.util.FileSystemUtils;

/** What the auto-configuration does with an engine that it opens itself. */
@ExtendWith(OutputCaptureExtension.class)
class RealEngineTest {

    private static final String MODEL = "../engine/src/test/resources/goldens/models/llama-tied";

    private final ApplicationContextRunner runner = new ApplicationContextRunner()
            .withConfiguration(AutoConfigurations.of(SkimAutoConfiguration.class))
            .withPropertyValues("langchain4j.skim.model=" + MODEL, "langchain4j.skim.chat-model.max-output-tokens=4");

    @Test
    void engineLoadsWithTheContextAndTellsSo(CapturedOutput output) {
        runner.run(context -> {
            assertThat(output).contains("Opened llama-tied").contains("attention dense");
            assertThat(context.getBean(ChatModel.class).chat("hello")).isNotEmpty();

            Engine engine = context.getBean(Engine.class);
            context.close();

            assertThat(engine.stats().failure()).isEqualTo("the engine is closed");
        });
    }

    @ParameterizedTest
    @ValueSource(strings = {"quest", "oracle", "random"})
    void selectingMethodOfThePropertiesReadsLessAndIsProbed(String method) {
        runner.withPropertyValues(
                        "langchain4j.skim.attention.method=" + method,
                        "langchain4j.skim.attention.budget=32",
                        "langchain4j.skim.attention.sinks=4",
                        "langchain4j.skim.attention.recent=4",
                        "langchain4j.skim.attention.dense-layers=0",
                        "langchain4j.skim.attention.recall-probe=1",
                        "langchain4j.skim.kv-cache.page-size=8")
                .run(context -> {
                    String question = "Tell me, is it really so, or is it not? " + "Who knows? ".repeat(4);
                    SkimChatResponseMetadata metadata = (SkimChatResponseMetadata) context.getBean(ChatModel.class)
                            .chat(UserMessage.from(question))
                            .metadata();

                    assertThat(metadata.tokenUsage().inputTokenCount()).isGreaterThan(40);
                    assertThat(metadata.attendedDensity()).isBetween(0.1, 0.95);
                    assertThat(metadata.pagesRead()).isPositive();
                    assertThat(metadata.keptMass()).isBetween(0.01, 1.0);
                    assertThat(metadata.outputError()).isNotNegative();
                    assertThat(metadata.tokensEvicted()).isZero();
                });
    }

    @Test
    void observersOfTheApplicationAreTold() {
        List<GenerationResult> seen = new CopyOnWriteArrayList<>();
        EngineObserver observer = new EngineObserver() {
            @Override
            public void onComplete(GenerationResult result) {
                seen.add(result);
            }
        };
        runner.withBean(EngineObserver.class, () -> observer).run(context -> {
            String answer = context.getBean(ChatModel.class).chat("hello");

            assertThat(seen).singleElement().extracting(GenerationResult::text).isEqualTo(answer);
        });
    }

    @Test
    void tokenCacheServesTheEngineWithinItsMemory() {
        runner.run(context -> {
            context.getBean(ChatModel.class).chat("hello");

            assertThat(context.getBean(CaffeineTokenCache.class).cache().asMap())
                    .isNotEmpty();
        });
        runner.withPropertyValues("langchain4j.skim.token-cache.memory=0B").run(context -> {
            context.getBean(ChatModel.class).chat("hello");

            CaffeineTokenCache cache = context.getBean(CaffeineTokenCache.class);
            cache.cache().cleanUp();
            assertThat(cache.cache().asMap()).isEmpty();
        });
        runner.withPropertyValues("langchain4j.skim.token-cache.memory=-1B")
                .run(context ->
                        assertThat(context).getFailure().hasMessageContaining("langchain4j.skim.token-cache.memory"));
    }

    @Test
    void tokenCacheOfTheApplicationComesFirst() {
        List<String> texts = new CopyOnWriteArrayList<>();
        runner.withBean(TokenCache.class, () -> (text, encode) -> {
                    texts.add(text);
                    return encode.apply(text);
                })
                .run(context -> {
                    context.getBean(ChatModel.class).chat("hello");

                    assertThat(context).doesNotHaveBean(CaffeineTokenCache.class);
                    assertThat(String.join("", texts)).contains("hello");
                });
    }

    @Test
    void settingsOfTheApplicationComeFirst() {
        runner.withBean(
                        EngineConfig.class,
                        () -> EngineConfig.builder(MODEL).contextLength(64).build())
                .run(context -> assertThat(context.getBean(Engine.class).contextLength())
                        .isEqualTo(64));
    }

    @Test
    void contextLongerThanTheModels() {
        runner.withPropertyValues("langchain4j.skim.context-length=100000")
                .run(context -> assertThat(context)
                        .getFailure()
                        .hasMessageContaining("context-length is 100000, but llama-tied was made for at most 128"));
    }

    @Test
    void modelOfAnArtifactOnTheClasspathIsTheDefault(@TempDir Path artifact) throws IOException {
        Path marker = Files.createDirectories(artifact.resolve("META-INF/skim")).resolve("default-model");
        Files.writeString(marker, "classpath:models/default");
        FileSystemUtils.copyRecursively(Path.of(MODEL), artifact.resolve("models/default"));
        URL[] classpath = {artifact.toUri().toURL()};
        try (URLClassLoader classLoader =
                new URLClassLoader(classpath, getClass().getClassLoader())) {
            new ApplicationContextRunner()
                    .withConfiguration(AutoConfigurations.of(SkimAutoConfiguration.class))
                    .withClassLoader(classLoader)
                    .run(context -> assertThat(context.getBean(Engine.class).modelName())
                            .isEqualTo("default"));
        }
    }
}
