import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Keeps the committed kernels, {@code skim.fatbin}, in step with their sources: beside them lies the hash of the sources and of the
 * compiler's arguments. Where it differs, the kernels are compiled with nvcc, or the build fails if there is none. Run by Maven:
 * {@code java BuildKernels.java MODULE_FOLDER}.
 */
public final class BuildKernels {

    /** Real architectures of the GPUs since Ampere; the last is kept as PTX too, for later ones. */
    private static final List<String> ARCHITECTURES = List.of("80", "86", "89", "90a", "100", "120");

    private static final String PTX = "sm_" + ARCHITECTURES.get(ARCHITECTURES.size() - 1);
    private static final Pattern ENTRY = Pattern.compile("\\.entry (\\w+)");

    private final Path sources;
    private final Path fatbin;
    private final Path hashFile;

    private BuildKernels(Path module) {
        sources = module.resolve("src/main/cuda");
        Path resources = module.resolve("src/main/resources/io/github/skim4j/cuda");
        fatbin = resources.resolve("skim.fatbin");
        hashFile = resources.resolve("skim.fatbin.sources");
    }

    public static void main(String[] arguments) throws Exception {
        new BuildKernels(Path.of(arguments[0])).run();
    }

    private void run() throws Exception {
        String hash = hash();
        if (Files.exists(fatbin) && Files.exists(hashFile) && Files.readString(hashFile).strip().equals(hash)) {
            return;
        }
        String nvcc = nvcc();
        if (nvcc == null) {
            throw new IllegalStateException("The kernels in " + sources + " have changed since " + fatbin
                    + " was made, and there is no nvcc on the PATH or under CUDA_HOME: install CUDA 13.0's compiler, or undo the change");
        }
        Files.createDirectories(fatbin.getParent());
        Path made = fatbin.resolveSibling("skim.fatbin.part");
        try {
            List<String> command = new ArrayList<>(List.of(nvcc, "--fatbin", "-o", made.toString()));
            command.addAll(options());
            command.add(sources.resolve("skim.cu").toString());
            System.out.println("Compiling kernels: " + String.join(" ", command));
            int status = new ProcessBuilder(command).inheritIO().start().waitFor();
            if (status != 0) {
                throw new IllegalStateException("nvcc failed with status " + status);
            }
            checkWaits(Path.of(nvcc).resolveSibling("cuobjdump"), made);
            Files.move(made, fatbin, StandardCopyOption.REPLACE_EXISTING);
            Files.writeString(hashFile, hash + "\n");
        } finally {
            Files.deleteIfExists(made);
        }
    }

    /** Kernels start before the one before has ended: each must wait for it (launch.cuh). The PTX among the code says whether they do. */
    private static void checkWaits(Path cuobjdump, Path kernels) throws IOException, InterruptedException {
        if (!Files.isExecutable(cuobjdump)) {
            System.out.println("Not checked whether kernels wait for each other: there is no " + cuobjdump);
            return;
        }
        Process process = new ProcessBuilder(cuobjdump.toString(), "-ptx", "-arch", PTX, kernels.toString())
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
        Set<String> hasty = new TreeSet<>();
        int count = 0;
        String kernel = null;
        try (BufferedReader text = process.inputReader()) {
            for (String line = text.readLine(); line != null; line = text.readLine()) {
                Matcher entry = ENTRY.matcher(line);
                if (entry.find()) {
                    kernel = entry.group(1);
                    hasty.add(kernel);
                    count++;
                } else if (line.contains("griddepcontrol.wait")) {
                    hasty.remove(kernel);
                }
            }
        }
        if (process.waitFor() != 0 || count == 0) {
            throw new IllegalStateException(cuobjdump + " found no kernels for " + PTX + " in " + kernels);
        }
        if (!hasty.isEmpty()) {
            throw new IllegalStateException("These kernels do not wait for the kernel before: " + hasty);
        }
    }

    private static List<String> options() {
        List<String> options = new ArrayList<>(List.of("-std=c++17", "-O3", "--threads", "0", "--compress-mode=size"));
        for (String architecture : ARCHITECTURES) {
            options.addAll(List.of("-gencode", "arch=compute_" + architecture + ",code=sm_" + architecture));
        }
        String last = ARCHITECTURES.get(ARCHITECTURES.size() - 1);
        options.addAll(List.of("-gencode", "arch=compute_80,code=compute_80"));
        options.addAll(List.of("-gencode", "arch=compute_" + last + ",code=compute_" + last));
        return options;
    }

    private String hash() throws IOException, NoSuchAlgorithmException {
        MessageDigest digest = MessageDigest.getInstance("SHA-256");
        digest.update(String.join(" ", options()).getBytes(StandardCharsets.UTF_8));
        List<Path> files;
        try (Stream<Path> all = Files.list(sources)) {
            files = all.filter(Files::isRegularFile).sorted().toList();
        }
        for (Path file : files) {
            // A checkout may have turned line ends.
            String text = Files.readString(file).replace("\r\n", "\n");
            digest.update((file.getFileName() + "\0" + text + "\0").getBytes(StandardCharsets.UTF_8));
        }
        return HexFormat.of().formatHex(digest.digest());
    }

    /** The compiler's path, or null. */
    private static String nvcc() {
        List<Path> places = new ArrayList<>();
        String home = System.getenv("CUDA_HOME");
        if (home != null) {
            places.add(Path.of(home, "bin"));
        }
        for (String entry : System.getenv("PATH").split(System.getProperty("path.separator"))) {
            places.add(Path.of(entry));
        }
        for (Path place : places) {
            for (String name : List.of("nvcc", "nvcc.exe")) {
                if (Files.isExecutable(place.resolve(name))) {
                    return place.resolve(name).toString();
                }
            }
        }
        return null;
    }
}
