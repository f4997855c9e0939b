package io.github.skim4j.engine.backend.cpu;

import java.lang.management.ManagementFactory;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Picks the kernels that this JVM can run, and says once what would make it faster. */
final class KernelSelection {

    private static final Logger LOG = LoggerFactory.getLogger(KernelSelection.class);

    private static final String VECTOR_MODULE = "jdk.incubator.vector";

    private KernelSelection() {}

    static CpuKernels select() {
        warnOfReducedCompilation();
        if (ModuleLayer.boot().findModule(VECTOR_MODULE).isEmpty()) {
            LOG.warn(
                    "Running without vector kernels, several times slower: add --add-modules {} to the JVM's options",
                    VECTOR_MODULE);
            return new ScalarKernels();
        }
        return vectorKernels().orElseGet(ScalarKernels::new);
    }

    /** The class is named by a string, so that nothing of the optional module is loaded without it. */
    static Optional<CpuKernels> vectorKernels() {
        CpuKernels.class
                .getModule()
                .addReads(ModuleLayer.boot().findModule(VECTOR_MODULE).orElseThrow());
        try {
            Class<?> kernels = Class.forName("io.github.skim4j.engine.backend.cpu.VectorKernels");
            return Optional.of((CpuKernels) kernels.getDeclaredConstructor().newInstance());
        } catch (ReflectiveOperationException | LinkageError e) {
            LOG.warn(
                    "Running without vector kernels, several times slower: this JVM's {} does not fit",
                    VECTOR_MODULE,
                    e);
            return Optional.empty();
        }
    }

    /** {@code spring-boot:run} starts a JVM that compiles with C1 alone unless it is told otherwise. */
    private static void warnOfReducedCompilation() {
        for (String option : ManagementFactory.getRuntimeMXBean().getInputArguments()) {
            if (option.matches("-XX:TieredStopAtLevel=[0-3]") || option.equals("-Xint")) {
                LOG.warn(
                        "The JVM's option {} keeps the optimising compiler off, which makes the model many times slower: remove it"
                                + " (spring-boot:run sets it unless <optimizedLaunch>false</optimizedLaunch>)",
                        option);
            }
        }
    }
}
