package io.github.skim4j.cli.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.skim4j.engine.backend.Backend;
import io.github.skim4j.engine.backend.BackendConfig;
import io.github.skim4j.engine.backend.BackendProvider;
import io.github.skim4j.engine.backend.Device;
import io.github.skim4j.engine.kv.KvCacheConfig;
import io.github.skim4j.engine.model.ModelConfig;
import io.github.skim4j.engine.model.ModelWeights;
import io.github.skim4j.engine.model.RandomWeights;
import io.github.skim4j.engine.model.TensorType;
import io.github.skim4j.engine.model.WeightFormat;
import org.junit.jupiter.api.Test;

class FloorTest {

    private static final ModelConfig TINY = Shape.of("src/test/resources/tiny-config.json");

    /** Elements of the tiny shape's matrices in both layers, and of its embedding, which is also its output. */
    private static final long LAYERS = 2 * (64 * 64 * 2 + 32 * 64 * 2 + 3 * 96 * 64);

    private static final long EMBEDDING = 320 * 64;

    private static Floor floor(ModelConfig config, TensorType type, WeightFormat format, BackendProvider provider) {
        return Floor.of(new RandomWeights(config, type, 1), format, provider, KvCacheConfig.DEFAULT, 2, 1e9);
    }

    private static BackendProvider cpu() {
        return Device.providers().stream()
                .filter(provider -> provider.name().equals("cpu"))
                .findFirst()
                .orElseThrow();
    }

    @Test
    void anEmbeddingThatIsNotTheOutputIsNotRead() {
        ModelConfig config = Shape.of("llama-2-7b");
        long notRead = 32_000L * 4096 + (2 * 32 + 1) * 4096;
        assertThat(floor(config, TensorType.BF16, WeightFormat.AS_STORED, cpu()).weightBytes())
                .isEqualTo(2 * (6_738_415_616L - notRead));
    }

    @Test
    void weightsHaveTheTypesThatTheyAreComputedWith() {
        assertThat(floor(TINY, TensorType.BF16, WeightFormat.Q4_0, cpu()).weightBytes())
                .isEqualTo(LAYERS / 32 * 18 + EMBEDDING / 32 * 34);
        assertThat(floor(TINY, TensorType.BF16, WeightFormat.Q4_0, new Widening())
                        .weightBytes())
                .isEqualTo(4 * (LAYERS + EMBEDDING));
    }

    @Test
    void keysAndValuesOfAllSequencesAreRead() {
        Floor floor = new Floor(TINY, 1000, 100, 2, 1e6);
        assertThat(floor.stepSeconds(50)).isEqualTo((1000 + 2 * 50 * 100) / 1e6, within(1e-12));
    }

    @Test
    void aSlidingWindowBoundsWhatItsLayersRead() {
        ModelConfig windowed = new ModelConfig(
                TINY.architecture(),
                TINY.vocabSize(),
                TINY.hiddenSize(),
                TINY.intermediateSize(),
                TINY.layers(),
                TINY.heads(),
                TINY.kvHeads(),
                TINY.headDim(),
                TINY.contextLength(),
                TINY.rmsNormEps(),
                TINY.rope(),
                20,
                1,
                TINY.qkNorm(),
                TINY.tiedEmbeddings());
        Floor floor = new Floor(windowed, 1000, 100, 1, 1e6);
        assertThat(floor.stepSeconds(10)).isEqualTo((1000 + 10 * 100) / 1e6, within(1e-12));
        assertThat(floor.stepSeconds(50)).isEqualTo((1000 + 50 * 50 + 20 * 50) / 1e6, within(1e-12));
    }

    /** Computes with F32 alone. */
    private static final class Widening implements BackendProvider {

        @Override
        public String name() {
            return "widening";
        }

        @Override
        public int preference() {
            return 0;
        }

        @Override
        public String unavailable(int ordinal) {
            return null;
        }

        @Override
        public TensorType computedType(TensorType loaded) {
            return TensorType.F32;
        }

        @Override
        public Backend open(ModelWeights weights, BackendConfig config) {
            throw new UnsupportedOperationException();
        }
    }
}
