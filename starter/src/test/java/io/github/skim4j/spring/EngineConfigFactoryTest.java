package io.github.skim4j.spring;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import io.github.skim4j.engine.EngineConfig;
import io.github.skim4j.engine.EngineObserver;
import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.kv.KvCacheConfig.KvType;
import io.github.skim4j.engine.model.HubConfig;
import io.github.skim4j.engine.model.WeightFormat;
import io.github.skim4j.engine.tokenizer.TokenCache;
import java.io.IOException;
import java.net.URI;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class EngineConfigFactoryTest {

    private static final String TEMPLATE = "{{ messages[0].content }}";

    @TempDir
    Path folder;

    static List<Arguments> settings() {
        return List.of(
                setting("model", "models/tiny", EngineConfig::model, "models/tiny"),
                setting("device", "cuda:1", EngineConfig::device, "cuda:1"),
                setting("context-length", "2048", EngineConfig::contextLength, 2048),
                setting("threads", "3", EngineConfig::threads, 3),
                setting("weights", "q8_0", EngineConfig::weights, WeightFormat.Q8_0),
                setting("weights", "q4_0", EngineConfig::weights, WeightFormat.Q4_0),
                setting("weights", "as-stored", EngineConfig::weights, WeightFormat.AS_STORED),
                setting("chat-template", TEMPLATE, EngineConfig::chatTemplate, TEMPLATE),
                setting("attention.min-context", "512", EngineConfig::minContext, 512),
                setting("attention.recall-probe", "0.01", EngineConfig::recallProbe, 0.01),
                setting("kv-cache.page-size", "64", config -> config.kvCache().pageSize(), 64),
                setting("kv-cache.type", "f32", config -> config.kvCache().type(), KvType.F32),
                setting(
                        "kv-cache.prefix-cache",
                        "false",
                        config -> config.kvCache().prefixCache(),
                        false),
                setting("kv-cache.memory", "64MB", config -> config.kvCache().memory(), 64L << 20),
                setting(
                        "scheduler.max-batch-size",
                        "2",
                        config -> config.scheduler().maxBatchSize(),
                        2),
                setting(
                        "scheduler.prefill-chunk",
                        "64",
                        config -> config.scheduler().prefillChunk(),
                        64),
                setting(
                        "scheduler.queue-capacity",
                        "5",
                        config -> config.scheduler().queueCapacity(),
                        5),
                setting(
                        "hub.endpoint",
                        "http://localhost:9",
                        config -> config.hub().endpoint(),
                        URI.create("http://localhost:9")),
                setting("hub.token", "hf_secret", config -> config.hub().token(), "hf_secret"),
                setting("hub.cache", "some/folder", config -> config.hub().cache(), Path.of("some/folder")),
                setting("hub.offline", "true", config -> config.hub().offline(), true));
    }

    private static Arguments setting(String property, String value, Function<EngineConfig, ?> read, Object expected) {
        return arguments(property, value, read, expected);
    }

    @ParameterizedTest(name = "{0} = {1}")
    @MethodSource("settings")
    void propertyReachesTheEngine(String property, String value, Function<EngineConfig, ?> read, Object expected) {
        assertThat(read.apply(create(Map.of(property, value)))).isEqualTo(expected);
    }

    @Test
    void defaultsAreTheEngines() {
        EngineConfig expected = EngineConfig.builder("m").build();

        EngineConfig config = create(Map.of());

        assertThat(config)
                .usingRecursiveComparison()
                .ignoringFields("hub.progress")
                .isEqualTo(expected);
        assertThat(config.hub().progress()).isInstanceOf(DownloadLog.class);
    }

    @Test
    void unsetHubPropertiesComeFromTheEnvironment() {
        HubConfig environment = HubConfig.fromEnvironment();

        assertThat(create(Map.of("hub.offline", "true")).hub())
                .usingRecursiveComparison()
                .ignoringFields("progress")
                .isEqualTo(new HubConfig(
                        environment.endpoint(),
                        environment.token(),
                        environment.cache(),
                        true,
                        environment.progress()));
    }

    @Test
    void attentionMethodFitsThePagesThatAreSet() {
        Map<String, String> attention = Map.of("attention.method", "quest", "attention.budget", "40");

        assertThat(create(with(attention, "kv-cache.page-size", "16")).attention())
                .isEqualTo(AttentionMethod.parse("quest:budget=40"));
        assertThatThrownBy(() -> create(with(attention, "kv-cache.page-size", "32")))
                .hasMessageContaining("langchain4j.skim.attention.budget")
                .hasMessageContaining("a page of 32");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "context-length | -1 | 0 (automatic) or more",
                "threads | -1 | 0 (automatic) or more",
                "chat-template | nowhere.jinja | names no readable resource",
                "attention.min-context | -1 | 0 (off) or more",
                "attention.recall-probe | 1.1 | between 0 (off) and 1",
                "attention.budget | none | such as 12.5%",
                "kv-cache.page-size | 7 | 8, 16, 32 or 64",
                "kv-cache.memory | -1B | 0 (automatic) or more",
                "scheduler.max-batch-size | 0 | 1 or more",
                "scheduler.prefill-chunk | 0 | 1 or more",
                "scheduler.queue-capacity | 0 | 1 or more"
            })
    void invalidValueNamesItsProperty(String property, String value, String reason) {
        InvalidSkimPropertyException e =
                catchThrowableOfType(InvalidSkimPropertyException.class, () -> create(Map.of(property, value)));

        assertThat(e).hasMessageContaining(reason);
        assertThat(e.property()).isEqualTo("langchain4j.skim." + property);
    }

    @Test
    void chatTemplateFromFile() throws IOException {
        Path file = Files.writeString(folder.resolve("chat.jinja"), TEMPLATE);

        assertThat(create(Map.of("chat-template", file.toString())).chatTemplate())
                .isEqualTo(TEMPLATE);
        assertThat(create(Map.of("chat-template", file.toUri().toString())).chatTemplate())
                .isEqualTo(TEMPLATE);
    }

    @Test
    void chatTemplateFromClasspath() throws IOException {
        Files.writeString(folder.resolve("chat.jinja"), TEMPLATE);
        try (URLClassLoader classLoader = classLoader(folder)) {
            assertThat(create(Map.of("model", "m", "chat-template", "classpath:chat.jinja"), classLoader)
                            .chatTemplate())
                    .isEqualTo(TEMPLATE);
        }
    }

    @Test
    void modelOnTheClasspathIsTheDefault() throws IOException {
        try (URLClassLoader classLoader = classLoader(artifact("a", "classpath:models/a.gguf\n"))) {
            assertThat(create(Map.of(), classLoader).model()).isEqualTo("classpath:models/a.gguf");
            assertThat(create(Map.of("model", ""), classLoader).model()).isEqualTo("classpath:models/a.gguf");
            assertThat(create(Map.of("model", "mine"), classLoader).model()).isEqualTo("mine");
        }
    }

    @Test
    void noModel() throws IOException {
        try (URLClassLoader classLoader = classLoader()) {
            assertThatThrownBy(() -> create(Map.of(), classLoader))
                    .isInstanceOf(NoModelException.class)
                    .hasMessage("No model is set, and none is on the classpath");
        }
    }

    @Test
    void severalModelsOnTheClasspath() throws IOException {
        try (URLClassLoader classLoader =
                classLoader(artifact("a", "classpath:a.gguf"), artifact("b", "classpath:b.gguf"))) {
            assertThatThrownBy(() -> create(Map.of(), classLoader))
                    .isInstanceOf(NoModelException.class)
                    .hasMessageContaining("classpath:a.gguf, classpath:b.gguf");
        }
    }

    private static EngineConfig create(Map<String, String> properties) {
        return create(
                properties.containsKey("model") ? properties : with(properties, "model", "m"),
                EngineConfigFactoryTest.class.getClassLoader());
    }

    private static EngineConfig create(Map<String, String> properties, ClassLoader classLoader) {
        return new EngineConfigFactory(TestProperties.bind(properties), classLoader)
                .create(TokenCache.NONE, EngineObserver.NONE);
    }

    private static Map<String, String> with(Map<String, String> properties, String name, String value) {
        return Stream.concat(properties.entrySet().stream(), Stream.of(Map.entry(name, value)))
                .collect(Collectors.toMap(Map.Entry::getKey, Map.Entry::getValue));
    }

    private Path artifact(String name, String model) throws IOException {
        Path marker = folder.resolve(name).resolve(DefaultModel.MARKER);
        Files.createDirectories(marker.getParent());
        Files.writeString(marker, model);
        return folder.resolve(name);
    }

    /** Sees nothing of the test's own classpath. */
    private static URLClassLoader classLoader(Path... folders) throws IOException {
        List<URL> urls = new ArrayList<>();
        for (Path folder : folders) {
            urls.add(folder.toUri().toURL());
        }
        return new URLClassLoader(urls.toArray(URL[]::new), null);
    }
}
