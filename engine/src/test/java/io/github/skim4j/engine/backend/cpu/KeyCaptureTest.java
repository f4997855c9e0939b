package io.github.skim4j.engine.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.skim4j.engine.kv.KvCacheConfig.KvType;
import io.github.skim4j.engine.model.HalfFloats;
import io.github.skim4j.engine.model.ModelConfig;
import io.github.skim4j.engine.model.TensorType;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class KeyCaptureTest {

    private static final int FIRST_LAYER = 1;
    private static final int LAYERS = 2;
    private static final int QUERIES = 5;

    /** That they are what the CPU attended with is what the capture itself makes sure of. */
    @Test
    void fileGivesTheSharesOfTheAttention(@TempDir Path folder) throws IOException {
        ModelConfig config = new SparseFixture.Shape(64, 2, 3, FIRST_LAYER + LAYERS, 0, 16, KvType.BF16).config();
        Random random = new Random(1);
        int[] prompt = random.ints(75, 0, config.vocabSize()).toArray();
        Path file = folder.resolve("keys");
        try (KeyCapture capture = new KeyCapture(
                RandomModels.weights(config, TensorType.F32, random), FIRST_LAYER, FIRST_LAYER + LAYERS, 78)) {
            capture.run(prompt, QUERIES, 3, Set.of());
            capture.write(file);

            ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
            assertThat(new String(bytes.array(), 0, 8)).isEqualTo("SKIMKEYS");
            bytes.position(8);
            for (int field : new int[] {1, FIRST_LAYER, LAYERS, 6, 2, 64, 78, QUERIES}) {
                assertThat(bytes.getInt()).isEqualTo(field);
            }
            int queries = bytes.position();
            int keys = queries + QUERIES * LAYERS * 6 * 64 * Float.BYTES;
            assertThat(bytes.capacity()).isEqualTo(keys + LAYERS * 2 * 78 * 64 * Short.BYTES);
            for (int query = 0; query < QUERIES; query++) {
                for (int layer = 0; layer < LAYERS; layer++) {
                    for (int head = 0; head < 6; head++) {
                        int q = queries + ((query * LAYERS + layer) * 6 + head) * 64 * Float.BYTES;
                        int k = keys + (layer * 2 + head / 3) * 78 * 64 * Short.BYTES;
                        double[] expected = capture.shares(query, FIRST_LAYER + layer, head);
                        assertThat(expected).hasSize(78 - QUERIES + query + 1);
                        assertThat(shares(bytes, q, k, expected.length)).containsExactly(expected, within(1e-9));
                    }
                }
            }
        }
    }

    private static double[] shares(ByteBuffer bytes, int query, int keys, int tokens) {
        double[] shares = new double[tokens];
        double sum = 0;
        for (int t = 0; t < tokens; t++) {
            double logit = 0;
            for (int i = 0; i < 64; i++) {
                logit += bytes.getFloat(query + i * Float.BYTES)
                        * HalfFloats.bfloat16ToFloat(bytes.getShort(keys + (t * 64 + i) * Short.BYTES));
            }
            shares[t] = Math.exp(logit / 8);
            sum += shares[t];
        }
        for (int t = 0; t < tokens; t++) {
            shares[t] /= sum;
        }
        return shares;
    }
}
