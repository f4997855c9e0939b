package io.github.skim4j.engine.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.OutputStream;
import java.net.URI;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.jar.JarOutputStream;
import java.util.zip.ZipEntry;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ModelResolverTest {

    @TempDir
    Path folder;

    private ResolvedModel resolve(String reference) {
        HubConfig hub =
                new HubConfig(URI.create("http://localhost:1"), null, folder, true, HubConfig.DownloadProgress.NONE);
        return ModelResolver.resolve(reference, hub);
    }

    @Test
    void usesPathsInPlace() throws IOException {
        Path file = Files.createFile(folder.resolve("model.gguf"));
        try (ResolvedModel model = resolve(file.toString())) {
            assertThat(model.path()).isEqualTo(file);
            assertThat(model.name()).isEqualTo("model.gguf");
        }
        assertThat(file).exists();
    }

    @Test
    void usesResourcesOnDiskInPlace() {
        try (ResolvedModel model = resolve("classpath:goldens/models/qwen2")) {
            assertThat(model.path()).isEqualTo(GoldenModels.path("qwen2"));
            assertThat(model.name()).isEqualTo("qwen2");
        }
        assertThat(GoldenModels.path("qwen2")).exists();
    }

    @Test
    void copiesResourcesOutOfJarsAndDeletesTheCopy() throws IOException {
        Path jar = folder.resolve("models.jar");
        try (OutputStream out = Files.newOutputStream(jar);
                JarOutputStream entries = new JarOutputStream(out)) {
            entries.putNextEntry(new ZipEntry("models/tiny.gguf"));
            entries.write(new byte[] {1, 2, 3});
            entries.closeEntry();
        }
        Thread thread = Thread.currentThread();
        ClassLoader before = thread.getContextClassLoader();
        try (URLClassLoader loader = new URLClassLoader(new URL[] {jar.toUri().toURL()})) {
            thread.setContextClassLoader(loader);
            ResolvedModel model = resolve("classpath:/models/tiny.gguf");
            assertThat(model.name()).isEqualTo("tiny.gguf");
            assertThat(model.path()).hasBinaryContent(new byte[] {1, 2, 3});
            model.close();
            assertThat(model.path()).doesNotExist();
            model.close();
        } finally {
            thread.setContextClassLoader(before);
        }
    }

    @Test
    void saysWhatWouldBeFound() {
        assertThatThrownBy(() -> resolve("classpath:nothing.gguf"))
                .isInstanceOf(ModelNotFoundException.class)
                .hasMessageContaining("nothing.gguf");
        for (String reference : new String[] {"nothing", "./a/b", "/nothing/here.gguf", "a/b/c", "a/../b"}) {
            assertThatThrownBy(() -> resolve(reference))
                    .isInstanceOf(ModelNotFoundException.class)
                    .hasMessageContaining("'" + reference + "'")
                    .hasMessageContaining("owner/name");
        }
        assertThatThrownBy(() -> resolve("owner/name"))
                .isInstanceOf(ModelNotFoundException.class)
                .hasMessageContaining("cache");
    }

    @ParameterizedTest
    @CsvSource({
        "a/b, a/b, main,",
        "Qwen/Qwen2.5-0.5B, Qwen/Qwen2.5-0.5B, main,",
        "a/b@v1.0, a/b, v1.0,",
        "a/b@refs/pr/1, a/b, refs/pr/1,",
        "a/b:c-Q4_K_M.gguf, a/b, main, c-Q4_K_M.gguf",
        "a/b@v1:sub/c.gguf, a/b, v1, sub/c.gguf"
    })
    void readsHubIds(String reference, String id, String revision, String file) {
        assertThat(HubReference.parse(reference)).isEqualTo(new HubReference(id, revision, file));
        assertThat(HubReference.parse(reference)).hasToString(reference);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {"a", "a/b/c", "/a/b", "a/b@", "a/b:x", "../b", "a/..", "a/b@../c", "a b/c", "a/b:../c.gguf"})
    void knowsWhatIsNoHubId(String reference) {
        assertThat(HubReference.parse(reference)).isNull();
    }
}
