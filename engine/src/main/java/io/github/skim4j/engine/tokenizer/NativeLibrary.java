package io.github.skim4j.engine.tokenizer;

import ai.djl.huggingface.tokenizers.jni.LibUtils;
import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import io.github.skim4j.engine.SkimException;

/** Loads the native tokenizers library that lies in DJL's jar. */
final class NativeLibrary {

    /** DJL's setting, in the environment or as a system property: which build of the library it takes. */
    private static final String FLAVOR = "RUST_FLAVOR";

    private NativeLibrary() {}

    /**
     * The library, on every call after the first at once.
     *
     * @throws SkimException if this platform has none or it can't be unpacked
     */
    static synchronized TokenizersLibrary load() {
        // Where DJL sees a GPU it would download a CUDA build; the CPU's lies in the jar. The property need only be
        // there while
        // the library is loaded, and a user's own choice stands.
        boolean pin = System.getenv(FLAVOR) == null && System.getProperty(FLAVOR) == null;
        if (pin) {
            System.setProperty(FLAVOR, "cpu");
        }
        try {
            LibUtils.checkStatus();
            return TokenizersLibrary.LIB;
        } catch (RuntimeException | LinkageError | AssertionError e) {
            throw new SkimException(
                    "the native tokenizers library can't be loaded on " + System.getProperty("os.name") + " "
                            + System.getProperty("os.arch")
                            + ": it needs Linux with glibc or Windows on x86-64, or Linux"
                            + " with glibc or macOS on arm64, and a writable folder to unpack to (environment variable"
                            + " DJL_CACHE_DIR, by default ~/.djl.ai)",
                    e);
        } finally {
            if (pin) {
                System.clearProperty(FLAVOR);
            }
        }
    }
}
