package io.github.skim4j.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.backend.BackendConfig;
import io.github.skim4j.engine.backend.BackendException;
import io.github.skim4j.engine.backend.BackendProvider;
import io.github.skim4j.engine.backend.Device;
import io.github.skim4j.engine.backend.cpu.RandomModels;
import io.github.skim4j.engine.kv.KvCacheConfig;
import io.github.skim4j.engine.kv.KvCacheConfig.KvType;
import io.github.skim4j.engine.model.TensorType;
import io.github.skim4j.engine.model.WeightFormat;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
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

    /** Before the weights are on a GPU, if there is one. */
    @Test
    void doesNotOpenForAMethodThatCannotRankTheLongestContext() {
        BackendConfig backend = new BackendConfig(
                0,
                0,
                1_000_000,
                1,
                512,
                new KvCacheConfig(16, KvType.BF16, 16L << 20, false),
                WeightFormat.AS_STORED,
                AttentionMethod.parse("quest:budget=2048,dense-layers=0"),
                0);
        assertThatThrownBy(() -> new CudaBackendProvider()
                        .open(RandomModels.weights(SelectionPlanTest.CONFIG, TensorType.F16, new Random(1)), backend))
                .isInstanceOf(BackendException.class)
                .hasMessageContaining("62500")
                .hasMessageContaining("kv-cache.page-size");
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
