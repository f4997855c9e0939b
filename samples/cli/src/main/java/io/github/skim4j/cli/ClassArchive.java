package io.github.skim4j.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;

/**
 * Java's own archive of classes as they are in memory, without which a third of a start goes into reading and checking them. The first
 * command that opens a model and succeeds leaves one for each jar and each Java; one that doesn't fit does no harm.
 *
 * @param file may not be there
 * @param recording where the command writes its classes; {@code null} if it doesn't
 */
record ClassArchive(Path file, Path recording) {

    /** Commands that use most of the classes. */
    private static final List<String> RECORDED = List.of("ask", "chat");

    /** Java says for each class that it leaves out why it does. */
    private static final String QUIET = "-Xlog:cds*=off,cds+dynamic=off";

    /**
     * @param folder keeps archives
     * @param javaVersion exactly
     * @param jar the program
     * @param command its name
     */
    static ClassArchive of(Path folder, String javaVersion, Path jar, String command) throws IOException {
        int key = List.of(javaVersion, jar.toString()).hashCode();
        Path file = folder.resolve("classes-" + Integer.toHexString(key) + ".jsa");
        boolean fits =
                Files.exists(file) && Files.getLastModifiedTime(file).compareTo(Files.getLastModifiedTime(jar)) > 0;
        if (fits || !RECORDED.contains(command)) {
            return new ClassArchive(file, null);
        }
        Files.createDirectories(folder);
        return new ClassArchive(
                file,
                folder.resolve(
                        file.getFileName() + "." + ProcessHandle.current().pid()));
    }

    /** Options of the JVM that runs the command. */
    List<String> options() {
        if (recording != null) {
            return List.of(QUIET, "-XX:ArchiveClassesAtExit=" + recording);
        }
        return Files.exists(file) ? List.of(QUIET, "-XX:SharedArchiveFile=" + file) : List.of();
    }

    /** Keeps what the command wrote, if it succeeded. */
    void finish(boolean success) throws IOException {
        if (recording != null && success && Files.exists(recording)) {
            Files.move(recording, file, StandardCopyOption.ATOMIC_MOVE);
        } else if (recording != null) {
            Files.deleteIfExists(recording);
        }
    }
}
