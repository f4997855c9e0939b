package io.github.skim4j.engine.tokenizer;

import ai.djl.huggingface.tokenizers.jni.LibUtils;
import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import io.github.skim4j.engine.SkimException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Properties;

/** Loads the native tokenizers library that lies in DJL's jar. */
final class NativeLibrary {

    /** DJL's setting, in the environment or as a system property: which build of the library it takes. */
    private static final String FLAVOR = "RUST_FLAVOR";

    /** More of DJL's settings, which say where the library lies. */
    private static final List<String> PLACES = List.of("RUST_LIBRARY_PATH", "ENGINE_CACHE_DIR", "DJL_CACHE_DIR");

    private NativeLibrary() {}

    /**
     * The library, on every call after the first at once.
     *
     * @throws SkimException if this platform has none or it can't be unpacked
     */
    static synchronized TokenizersLibrary load() {
        try {
            Path unpacked = unpacked();
            if (unpacked != null && Files.exists(unpacked)) {
                System.load(unpacked.toString());
            } else {
                unpack();
            }
            return TokenizersLibrary.LIB;
        } catch (RuntimeException | IOException | LinkageError | AssertionError e) {
            throw new SkimException(
                    "the native tokenizers library can't be loaded on " + System.getProperty("os.name") + " "
                            + System.getProperty("os.arch")
                            + ": it needs Linux with glibc or Windows on x86-64, or Linux"
                            + " with glibc or macOS on arm64, and a writable folder to unpack to (environment variable"
                            + " DJL_CACHE_DIR, by default ~/.djl.ai)",
                    e);
        }
    }

    /**
     * The file that DJL unpacks the library to, if that is known beforehand, else {@code null}. DJL looks for a GPU before each use of
     * that file, by way of another native library, which takes several times as long as to load it.
     */
    static Path unpacked() throws IOException {
        boolean known = System.getProperty("os.name").equals("Linux")
                && !isSet(FLAVOR)
                && PLACES.stream().noneMatch(NativeLibrary::isSet)
                // A library belongs to the class loader of whoever loads it.
                && NativeLibrary.class.getClassLoader() == TokenizersLibrary.class.getClassLoader();
        if (!known) {
            return null;
        }
        Properties build = new Properties();
        try (InputStream in = TokenizersLibrary.class.getResourceAsStream("/native/lib/tokenizers.properties")) {
            build.load(in);
        }
        String architecture = System.getProperty("os.arch").replace("amd64", "x86_64");
        return Path.of(
                System.getProperty("user.home"),
                ".djl.ai",
                "tokenizers",
                build.getProperty("version") + "-cpu-linux-" + architecture,
                System.mapLibraryName("tokenizers"));
    }

    /** Has DJL unpack the library where it isn't yet, and load it. */
    private static void unpack() {
        // Where DJL sees a GPU it would download a CUDA build; the CPU's lies in the jar. The property need only be
        // there while the
        // library is loaded, and a user's own choice stands.
        boolean pin = !isSet(FLAVOR);
        if (pin) {
            System.setProperty(FLAVOR, "cpu");
        }
        try {
            LibUtils.checkStatus();
        } finally {
            if (pin) {
                System.clearProperty(FLAVOR);
            }
        }
    }

    private static boolean isSet(String setting) {
        return System.getenv(setting) != null || System.getProperty(setting) != null;
    }
}
