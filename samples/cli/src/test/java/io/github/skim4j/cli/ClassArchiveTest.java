package io.github.skim4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ClassArchiveTest {

    @TempDir
    private Path folder;

    private Path jar;

    @BeforeEach
    void writeJar() throws IOException {
        jar = Files.writeString(folder.resolve("skim.jar"), "");
        Files.setLastModifiedTime(jar, FileTime.fromMillis(1_000_000));
    }

    private ClassArchive archive(String command) throws IOException {
        return ClassArchive.of(folder.resolve("cache"), "17.0.1", jar, command);
    }

    @Test
    void theFirstCommandThatOpensAModelLeavesIt() throws IOException {
        assertThat(archive("inspect").options()).isEmpty();
        ClassArchive first = archive("ask");
        assertThat(first.options()).contains("-XX:ArchiveClassesAtExit=" + first.recording());
        Files.writeString(first.recording(), "classes");
        first.finish(true);
        ClassArchive second = archive("ask");
        assertThat(second.options()).contains("-XX:SharedArchiveFile=" + first.file());
        second.finish(true);
        assertThat(first.file()).hasContent("classes");
    }

    @Test
    void aFailureLeavesNone() throws IOException {
        ClassArchive first = archive("ask");
        Files.writeString(first.recording(), "some");
        first.finish(false);
        assertThat(folder.resolve("cache")).isEmptyDirectory();
        archive("chat").finish(true);
        assertThat(folder.resolve("cache")).isEmptyDirectory();
    }

    @Test
    void aNewerJarMakesAnother() throws IOException {
        ClassArchive first = archive("ask");
        Files.writeString(first.recording(), "classes");
        first.finish(true);
        Files.setLastModifiedTime(first.file(), FileTime.fromMillis(999_000));
        assertThat(archive("ask").recording()).isNotNull();
        assertThat(ClassArchive.of(folder.resolve("cache"), "17.0.2", jar, "ask")
                        .file())
                .isNotEqualTo(first.file());
    }
}
