package io.github.skim4j.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.skim4j.engine.model.TensorType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class MatrixTypeTest {

    /** Bits of a weight, scales included, in a matrix of whole tiles and groups of units. */
    @ParameterizedTest
    @CsvSource({"F16, 16", "Q8, 8.5", "Q8S16, 9", "Q4, 4.5", "Q4M, 5"})
    void takesTheBitsOfItsFormat(MatrixType type, double bits) {
        long bytes = type.unitBytes(4096, 4096) + type.scaleBytes(4096, 4096);
        assertThat(bytes * 8.0 / 4096 / 4096).isEqualTo(bits);
    }

    @Test
    void padsTilesUnitsAndGroups() {
        assertThat(MatrixType.Q4.unitBytes(17, 65)).isEqualTo(2 * 2 * 512);
        assertThat(MatrixType.Q4.scaleBytes(17, 65)).isEqualTo(2 * 256);
        assertThat(MatrixType.Q8.scaleBytes(1, 5 * 32)).isEqualTo(2 * 128);
        assertThat(MatrixType.F16.scaleBytes(100, 100)).isZero();
    }

    @ParameterizedTest
    @EnumSource(TensorType.class)
    void everyStoredTypeIsSentAsOneThatItsLayoutHolds(TensorType type) {
        TensorType sent = MatrixType.uploadedType(type);
        assertThat(MatrixType.of(sent)).isEqualTo(MatrixType.of(type));
        assertThat(MatrixType.uploadedType(sent)).isEqualTo(sent);
    }
}
