package io.github.skim4j.langchain4j.spi;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.skim4j.langchain4j.SkimChatModel;
import io.github.skim4j.langchain4j.SkimStreamingChatModel;
import java.io.IOException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class BuilderFactoriesTest {

    @Test
    void aRegisteredFactoryMakesTheBuilders(@TempDir Path folder) throws IOException {
        register(folder, SkimChatModelBuilderFactory.class, ChatFactory.class);
        register(folder, SkimStreamingChatModelBuilderFactory.class, StreamingFactory.class);
        Thread thread = Thread.currentThread();
        ClassLoader before = thread.getContextClassLoader();
        try (URLClassLoader registered =
                new URLClassLoader(new URL[] {folder.toUri().toURL()}, before)) {
            thread.setContextClassLoader(registered);

            assertThat(SkimChatModel.builder()).isExactlyInstanceOf(ChatBuilder.class);
            assertThat(SkimStreamingChatModel.builder()).isExactlyInstanceOf(StreamingBuilder.class);
        } finally {
            thread.setContextClassLoader(before);
        }

        assertThat(SkimChatModel.builder()).isExactlyInstanceOf(SkimChatModel.Builder.class);
        assertThat(SkimStreamingChatModel.builder()).isExactlyInstanceOf(SkimStreamingChatModel.Builder.class);
    }

    private static void register(Path folder, Class<?> service, Class<?> provider) throws IOException {
        Path services = Files.createDirectories(folder.resolve("META-INF/services"));
        Files.writeString(services.resolve(service.getName()), provider.getName());
    }

    public static class ChatBuilder extends SkimChatModel.Builder {}

    public static class StreamingBuilder extends SkimStreamingChatModel.Builder {}

    public static class ChatFactory implements SkimChatModelBuilderFactory {
        @Override
        public SkimChatModel.Builder get() {
            return new ChatBuilder();
        }
    }

    public static class StreamingFactory implements SkimStreamingChatModelBuilderFactory {
        @Override
        public SkimStreamingChatModel.Builder get() {
            return new StreamingBuilder();
        }
    }
}
