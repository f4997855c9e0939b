package io.github.skim4j.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

class OverlappedLaunchTest {

    @Test
    void devicesBeforeHopperHaveNone() {
        assertThat(OverlappedLaunch.of(89)).isNull();
    }

    @Test
    void withoutADriverThereIsNone() {
        assumeThat(Driver.unavailable(0)).as("the GPU's absence").isNotNull();
        assertThat(OverlappedLaunch.of(90)).isNull();
    }

    @Test
    @Tag("gpu")
    void theDriverOfALaterDeviceHasIt() {
        try (CudaDevice device = new CudaDevice(0)) {
            assumeThat(device.capability()).isGreaterThanOrEqualTo(90);
            assertThat(OverlappedLaunch.of(device.capability())).isNotNull();
        }
    }
}
