package io.github.skim4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PipedInputStream;
import java.io.PipedOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.junit.jupiter.api.Test;

class LauncherTest {

    private static List<String> command(int javaVersion, String... jvmOptions) {
        return command(javaVersion, true, jvmOptions);
    }

    private static List<String> command(int javaVersion, boolean trims, String... jvmOptions) {
        return Launcher.command(
                javaVersion, option -> trims, null, List.of(jvmOptions), "skim.jar", true, new String[] {
                    "ask", "--json", ""
                });
    }

    @Test
    void turnsOnTheVectorApiAndGivesHeap() {
        assertThat(command(17))
                .startsWith(System.getProperty("java.home") + "/bin/java", "--add-modules=jdk.incubator.vector")
                .contains("-XX:MaxRAMPercentage=75")
                .doesNotContain("--enable-native-access=ALL-UNNAMED")
                .endsWith("-cp", "skim.jar", "io.github.skim4j.cli.Launcher", "ask", "--json", "");
        assertThat(command(25)).contains("--enable-native-access=ALL-UNNAMED");
    }

    @Test
    void keepsTheUsersHeap() {
        for (String heap : List.of("-Xmx4g", "-XX:MaxHeapSize=4g", "-XX:MaxRAMPercentage=20")) {
            assertThat(command(17, "-ea", heap)).contains("-ea", heap).doesNotContain("-XX:MaxRAMPercentage=75");
        }
    }

    @Test
    void keepsMemoryForWeightsUnlessTheUserChoosesACollector() {
        assertThat(command(17)).contains("-XX:+UseSerialGC", "-Xmn8m", "-XX:MarkSweepDeadRatio=0");
        assertThat(command(17, "-XX:+UseZGC"))
                .contains("-XX:+UseZGC")
                .doesNotContain("-XX:+UseSerialGC", "-Xmn8m", "-XX:MarkSweepDeadRatio=0");
        assertThat(command(17, "-XX:NewSize=1g")).contains("-XX:+UseSerialGC").doesNotContain("-Xmn8m");
    }

    @Test
    void trimsNativeMemoryWhereJavaCan() {
        assertThat(command(17)).contains("-XX:TrimNativeHeapInterval=5000");
        assertThat(command(17, false)).doesNotContain("-XX:TrimNativeHeapInterval=5000");
    }

    @Test
    void dropsTheIncubatorWarningAlone() throws IOException {
        assertThat(
                        copied(
                                "Picked up JAVA_TOOL_OPTIONS: -ea\nWARNING: Using incubator modules: jdk.incubator.vector\nerror\nhalf"))
                .isEqualTo("Picked up JAVA_TOOL_OPTIONS: -ea\nerror\nhalf");
        assertThat(copied("WARNING: Using incubator modules: jdk.incubator.vector\r\n"))
                .isEmpty();
        assertThat(copied("Error: no such option\nhalf")).isEqualTo("Error: no such option\nhalf");
    }

    private static String copied(String text) throws IOException {
        ByteArrayOutputStream to = new ByteArrayOutputStream();
        Launcher.copyErrors(new ByteArrayInputStream(text.getBytes(StandardCharsets.UTF_8)), to);
        return to.toString(StandardCharsets.UTF_8);
    }

    @Test
    void partialLinesComeThroughAtOnce() throws Exception {
        PipedOutputStream child = new PipedOutputStream();
        PipedInputStream seen = new PipedInputStream();
        PipedInputStream from = new PipedInputStream(child);
        PipedOutputStream to = new PipedOutputStream(seen);
        Thread copier = new Thread(() -> {
            try {
                Launcher.copyErrors(from, to);
            } catch (IOException e) {
                throw new IllegalStateException(e);
            }
        });
        copier.start();
        child.write("WARNING: Using incubator modules: jdk.incubator.vector\n> ".getBytes(StandardCharsets.UTF_8));
        child.flush();
        assertThat(new String(seen.readNBytes(2), StandardCharsets.UTF_8)).isEqualTo("> ");
        child.close();
        copier.join();
    }
}
