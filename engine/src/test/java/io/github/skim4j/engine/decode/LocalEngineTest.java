package io.github.skim4j.engine.decode;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import io.github.skim4j.engine.Engine;
import io.github.skim4j.engine.EngineConfig;
import io.github.skim4j.engine.backend.DeviceMemoryException;
import io.github.skim4j.engine.kv.KvCacheConfig;
import io.github.skim4j.engine.kv.KvCacheConfig.KvType;
import io.github.skim4j.engine.model.ModelFormatException;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Tokenizer and weights are loaded at once, and either may fail. */
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
            if (thread.getName().startsWith("skim-tokenizer")
                    || thread.getName().startsWith("skim-cpu")) {
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
    void reportsBoth() throws IOException {
        Files.writeString(model.resolve("tokenizer.json"), "{}");
        Throwable thrown = catchThrowable(() -> Engine.open(config(TOO_LARGE)));
        assertThat(thrown).isInstanceOf(DeviceMemoryException.class);
        assertThat(thrown.getSuppressed()).singleElement().isInstanceOf(ModelFormatException.class);
    }
}
