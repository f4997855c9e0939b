package io.github.skim4j.engine.decode;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.skim4j.engine.Engine;
import io.github.skim4j.engine.EngineConfig;
import io.github.skim4j.engine.GenerationListener;
import io.github.skim4j.engine.GenerationRequest;
import io.github.skim4j.engine.backend.DeviceMemoryException;
import io.github.skim4j.engine.chat.ChatMessage;
import io.github.skim4j.engine.chat.ChatTemplateException;
import io.github.skim4j.engine.kv.KvCacheConfig;
import io.github.skim4j.engine.kv.KvCacheConfig.KvType;
import io.github.skim4j.engine.model.ModelFormatException;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What is checked when an engine opens, and what goes on afterwards. */
class LocalEngineTest {

    private static final KvCacheConfig TOO_LARGE = new KvCacheConfig(16, KvType.F32, Long.MAX_VALUE, false);

    @TempDir
    Path model;

    @BeforeEach
    void copyModel() throws IOException, URISyntaxException {
        Path source = Path.of(
                LocalEngineTest.class.getResource("/goldens/models/llama-tied").toURI());
        try (Stream<Path> files = Files.list(source)) {
            for (Path file : files.toList()) {
                Files.copy(file, model.resolve(file.getFileName()));
            }
        }
    }

    @AfterEach
    void noThreadIsLeft() throws InterruptedException {
        for (Thread thread : Thread.getAllStackTraces().keySet()) {
            if (thread.getName().startsWith("skim-")) {
                // One that has done its work may still be on its way out.
                thread.join(5000);
                assertThat(thread.isAlive()).as(thread.getName()).isFalse();
            }
        }
    }

    private EngineConfig config(KvCacheConfig kvCache) {
        return EngineConfig.builder(model.toString())
                .threads(2)
                .kvCache(kvCache)
                .build();
    }

    @Test
    void loads() {
        try (Engine engine = Engine.open(config(KvCacheConfig.DEFAULT))) {
            assertThat(engine.tokenizer().encode("Hello")).isNotEmpty();
        }
    }

    @Test
    void reportsADamagedTokenizer() throws IOException {
        Files.writeString(model.resolve("tokenizer.json"), "{}");
        assertThatThrownBy(() -> Engine.open(config(KvCacheConfig.DEFAULT)))
                .isInstanceOf(ModelFormatException.class)
                .hasMessageContaining("has no vocabulary")
                .hasNoSuppressedExceptions();
    }

    @Test
    void reportsAFailingBackend() {
        assertThatThrownBy(() -> Engine.open(config(TOO_LARGE)))
                .isInstanceOf(DeviceMemoryException.class)
                .hasNoSuppressedExceptions();
    }

    @Test
    void reportsADamagedTemplateToTheFirstChat() throws IOException {
        Files.writeString(
                model.resolve("tokenizer_config.json"),
                Files.readString(model.resolve("tokenizer_config.json")).replace("{% endfor %}", ""));
        try (Engine engine = Engine.open(config(KvCacheConfig.DEFAULT))) {
            List<ChatMessage> messages = List.of(ChatMessage.user("Hello"));
            for (int i = 0; i < 2; i++) {
                assertThatThrownBy(() -> engine.countTokens(messages)).isInstanceOf(ChatTemplateException.class);
            }
            GenerationRequest text =
                    GenerationRequest.text("Hello").maxOutputTokens(2).build();
            assertThat(engine.generate(text, new GenerationListener() {})
                            .result()
                            .join()
                            .generatedTokens())
                    .isPositive();
        }
    }

    @Test
    void reportsADamagedTemplateOfTheSettingsAtOnce() {
        EngineConfig config = EngineConfig.builder(model.toString())
                .threads(2)
                .chatTemplate("{% for message in messages %}")
                .build();
        assertThatThrownBy(() -> Engine.open(config)).isInstanceOf(ChatTemplateException.class);
    }

    @Test
    void closesWhileItStillLoads() {
        for (int i = 0; i < 10; i++) {
            Engine engine = Engine.open(config(KvCacheConfig.DEFAULT));
            if (i % 2 == 0) {
                engine.generate(
                        GenerationRequest.of(new GenerationRequest.Tokens(List.of(1, 2, 3)))
                                .build(),
                        new GenerationListener() {});
            }
            engine.close();
        }
    }
}
