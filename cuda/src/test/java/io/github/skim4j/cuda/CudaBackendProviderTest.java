package io.github.skim4j.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.skim4j.engine.backend.BackendProvider;
import io.github.skim4j.engine.backend.Device;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ServiceLoader;
import org.junit.jupiter.api.Test;

class CudaBackendProviderTest {

    @Test
    void isFound() {
        assertThat(ServiceLoader.load(BackendProvider.class))
                .anyMatch(provider -> provider.name().equals("cuda"));
    }

    /** With a GPU or without one. */
    @Test
    void autoTakesTheGpuOrSaysInOneSentenceWhyNot() {
        String unavailable = new CudaBackendProvider().unavailable(0);
        Device device = Device.choose("auto");
        assertThat(device.provider().name()).isEqualTo(unavailable == null ? "cuda" : "cpu");
        assertThat(device.fallbackReason()).isEqualTo(unavailable);
        if (unavailable != null) {
            assertThat(unavailable).isNotBlank().doesNotContain("\n");
        }
    }

    /** JCuda's own place, shared by all users, may hold a library of someone else's. */
    @Test
    void leavesNoNativeLibraryInTheSharedTemporaryFolder() {
        Path shared = Path.of(System.getProperty("java.io.tmpdir"));
        new CudaBackendProvider().unavailable(0);
        assertThat(System.getProperty("java.io.tmpdir")).isEqualTo(shared.toString());
        assertThat(Files.exists(shared.resolve("libJCudaDriver-12.6.0-linux-x86_64.so")))
                .isFalse();
    }
}
