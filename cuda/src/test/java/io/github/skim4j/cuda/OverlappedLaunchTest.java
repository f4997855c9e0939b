package io.github.skim4j.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

class OverlappedLaunchTest {

    @Test
    void devicesBeforeHopperHaveNone() {
        assertThat(OverlappedLaunch.of(89)).isNull();
    }

    @Test
    void withoutADriverThereIsNone() {
        assumeTrue(Driver.unavailable(0) != null, "there is a GPU");
        assertThat(OverlappedLaunch.of(90)).isNull();
    }

    @Test
    @Tag("gpu")
    void theDriverOfALaterDeviceHasIt() {
        try (CudaDevice device = new CudaDevice(0)) {
            assumeTrue(device.capability() >= 90, "the GPU is older");
            assertThat(OverlappedLaunch.of(device.capability())).isNotNull();
        }
    }
}
