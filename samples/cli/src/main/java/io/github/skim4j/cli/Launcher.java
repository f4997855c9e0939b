package io.github.skim4j.cli;

import com.sun.management.HotSpotDiagnosticMXBean;
import io.github.skim4j.engine.model.HubConfig;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.ProcessBuilder.Redirect;
import java.lang.management.ManagementFactory;
import java.lang.module.ModuleFinder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;

/**
 * Starts the program. {@code java -jar} can't turn on the Vector API, which is an incubating module, so the launcher starts the
 * same Java again with it and with room for a model, and passes streams, signals and the exit code through. {@code
 * SKIM_NO_RELAUNCH=1} in the environment, or the module on the command line, keeps everything in one process.
 */
public final class Launcher {

    private static final String VECTOR_MODULE = "jdk.incubator.vector";
    private static final String RELAUNCHED = "skim.relaunched";
    private static final String VECTOR_KERNELS = "io.github.skim4j.engine.backend.cpu.Vector*::*";
    private static final String INCUBATOR_WARNING = "WARNING: Using incubator modules: " + VECTOR_MODULE;

    /** Enough for what a request leaves behind. */
    private static final String YOUNG_GENERATION = "8m";

    /** More than what requests make often. */
    private static final String LARGE_ARRAY = "256k";

    /** Milliseconds after which Java returns native memory that it no longer uses; not every Java 17 knows it. */
    private static final String TRIM_NATIVE_HEAP = "TrimNativeHeapInterval";

    /** What Java makes of an argument's bytes outside of the locale's charset. */
    private static final char UNDECODABLE = '\uFFFD';

    private Launcher() {}

    public static void main(String[] args) {
        if (String.join("", args).indexOf(UNDECODABLE) >= 0) {
            System.err.println("skim: Java can't read the arguments in this locale: set LC_ALL=C.UTF-8");
            System.exit(2);
        }
        System.exit(needsRelaunch() ? relaunch(args) : start(args));
    }

    private static boolean needsRelaunch() {
        return System.getenv("SKIM_NO_RELAUNCH") == null
                && System.getProperty(RELAUNCHED) == null
                && ModuleLayer.boot().findModule(VECTOR_MODULE).isEmpty()
                && ModuleFinder.ofSystem().find(VECTOR_MODULE).isPresent();
    }

    private static int start(String[] args) {
        if (System.getProperty(RELAUNCHED) != null) {
            // A launcher that was killed can't end its child.
            ProcessHandle.current()
                    .parent()
                    .ifPresent(parent ->
                            parent.onExit().thenRun(() -> Runtime.getRuntime().halt(1)));
        }
        return Skim.run(args);
    }

    private static int relaunch(String[] args) {
        List<String> jvmOptions = ManagementFactory.getRuntimeMXBean().getInputArguments();
        String classPath = System.getProperty("java.class.path");
        File jar = new File(classPath).getAbsoluteFile();
        ClassArchive archive = jar.isFile() ? archive(jvmOptions, jar.toPath(), args) : null;
        List<String> command = command(
                Runtime.version().feature(),
                Launcher::isVmOption,
                archive,
                jvmOptions,
                // Java knows the jar of an archive by its path.
                jar.isFile() ? jar.getPath() : classPath,
                Terminal.isErrorStream(),
                args);
        try {
            Process process = new ProcessBuilder(command)
                    .inheritIO()
                    .redirectError(Redirect.PIPE)
                    .start();
            Runtime.getRuntime().addShutdownHook(new Thread(() -> end(process, archive)));
            copyErrors(process.getErrorStream(), new FileOutputStream(FileDescriptor.err));
            return process.waitFor();
        } catch (IOException e) {
            System.err.println("skim: can't start " + command.get(0) + ": " + e.getMessage()
                    + "; set SKIM_NO_RELAUNCH=1 to run without it");
            return 1;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return 1;
        }
    }

    private static boolean isVmOption(String name) {
        try {
            HotSpotDiagnosticMXBean diagnostics = ManagementFactory.getPlatformMXBean(HotSpotDiagnosticMXBean.class);
            return diagnostics != null && diagnostics.getVMOption(name) != null;
        } catch (IllegalArgumentException | LinkageError e) {
            // There is no such option, or this is another virtual machine.
            return false;
        }
    }

    /** {@code null} where Java makes none or the user's options are about archives. */
    private static ClassArchive archive(List<String> jvmOptions, Path jar, String[] args) {
        boolean own = jvmOptions.stream()
                .anyMatch(option -> option.matches("-Xshare.*|-XX:SharedArchiveFile=.*|-XX:ArchiveClassesAtExit=.*"));
        if (own || !isVmOption("ArchiveClassesAtExit")) {
            return null;
        }
        try {
            return ClassArchive.of(
                    HubConfig.fromEnvironment().cache(),
                    System.getProperty("java.vm.version"),
                    jar,
                    args.length == 0 ? "" : args[0]);
        } catch (IOException | IllegalArgumentException e) {
            // Without it the program starts, if more slowly, and says what is wrong with its settings.
            return null;
        }
    }

    private static void end(Process process, ClassArchive archive) {
        process.destroy();
        try {
            int code = process.waitFor();
            if (archive != null) {
                archive.finish(code == 0);
            }
        } catch (IOException e) {
            // The next command tries again.
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /**
     * The command line of the second process: the user's own JVM options come last, so that they win.
     *
     * @param isVmOption whether this Java has an option of that name
     * @param archive may be {@code null}
     */
    static List<String> command(
            int javaVersion,
            Predicate<String> isVmOption,
            ClassArchive archive,
            List<String> jvmOptions,
            String classPath,
            boolean errorIsTerminal,
            String[] args) {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.add("--add-modules=" + VECTOR_MODULE);
        if (javaVersion >= 24) {
            // Without it, Java warns that the tokenizer loads its native library.
            command.add("--enable-native-access=ALL-UNNAMED");
        }
        if (jvmOptions.stream().noneMatch(Launcher::setsHeap)) {
            command.add("-XX:MaxRAMPercentage=75");
        }
        if (jvmOptions.stream().noneMatch(Launcher::choosesCollector)) {
            // Weights and pages are big arrays that stay; the others keep more memory for what doesn't.
            command.add("-XX:+UseSerialGC");
            if (jvmOptions.stream().noneMatch(Launcher::setsYoungGeneration)) {
                command.add("-Xmn" + YOUNG_GENERATION);
            }
            // Weights would be copied out of the young generation one by one.
            command.add("-XX:PretenureSizeThreshold=" + LARGE_ARRAY);
            // What loading leaves behind would stay, up to 5 % of the heap.
            command.add("-XX:MarkSweepDeadRatio=0");
        }
        if (isVmOption.test(TRIM_NATIVE_HEAP)) {
            command.add("-XX:" + TRIM_NATIVE_HEAP + "=5000");
        }
        if (archive != null) {
            command.addAll(archive.options());
        }
        // Until a kernel is compiled each of its vectors is an object: a thread had better wait for the compiler.
        command.add("-XX:CompileCommand=quiet");
        command.add("-XX:CompileCommand=BackgroundCompilation," + VECTOR_KERNELS + ",false");
        command.addAll(jvmOptions);
        command.add("-D" + RELAUNCHED + "=true");
        command.add("-D" + Terminal.ERROR_IS_TERMINAL + "=" + errorIsTerminal);
        command.add("-cp");
        command.add(classPath);
        command.add(Launcher.class.getName());
        command.addAll(List.of(args));
        return command;
    }

    private static boolean choosesCollector(String option) {
        return option.matches("-XX:\\+Use\\w+GC");
    }

    private static boolean setsYoungGeneration(String option) {
        return option.matches("-Xmn.*|-XX:(Max)?NewSize=.*|-XX:NewRatio=.*");
    }

    private static boolean setsHeap(String option) {
        return option.startsWith("-Xmx")
                || option.startsWith("-XX:MaxHeapSize=")
                || option.startsWith("-XX:MaxRAMPercentage=");
    }

    /** Copies a Java process's error stream without its warning about the incubating module, which says nothing to the user. */
    static void copyErrors(InputStream from, OutputStream to) throws IOException {
        ByteArrayOutputStream line = new ByteArrayOutputStream();
        for (int b = from.read(); b >= 0; b = from.read()) {
            line.write(b);
            if (b != '\n') {
                continue;
            }
            if (line.toString(StandardCharsets.UTF_8).strip().equals(INCUBATOR_WARNING)) {
                // Java prints it before the program runs: from here on, partial lines must come through at once.
                from.transferTo(to);
                return;
            }
            line.writeTo(to);
            line.reset();
        }
        line.writeTo(to);
    }
}
