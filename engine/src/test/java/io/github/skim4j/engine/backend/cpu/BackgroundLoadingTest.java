package io.github.skim4j.engine.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.skim4j.engine.attention.Dense;
import io.github.skim4j.engine.backend.BackendConfig;
import io.github.skim4j.engine.backend.DeviceMemoryException;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.backend.Span.Logits;
import io.github.skim4j.engine.kv.KvCacheConfig;
import io.github.skim4j.engine.kv.KvCacheConfig.KvType;
import io.github.skim4j.engine.kv.KvSequence;
import io.github.skim4j.engine.kv.PagePool;
import io.github.skim4j.engine.model.ModelConfig;
import io.github.skim4j.engine.model.ModelFormatException;
import io.github.skim4j.engine.model.ModelWeights;
import io.github.skim4j.engine.model.RandomWeights;
import io.github.skim4j.engine.model.Rope;
import io.github.skim4j.engine.model.Tensor;
import io.github.skim4j.engine.model.TensorRole;
import io.github.skim4j.engine.model.TensorType;
import io.github.skim4j.engine.model.WeightFormat;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Steps and {@code close()} while weights are still being loaded. */
class BackgroundLoadingTest {

    private static final int[] PROMPT = {1, 2, 3, 4, 5, 6, 7};

    private final Random random = new Random(3);
    private final ModelConfig config = RandomModels.config(random, 32, 100);
    private final ModelWeights weights = RandomModels.weights(config, TensorType.Q8_0, random);

    @AfterEach
    void noThreadIsLeft() {
        assertThat(Thread.getAllStackTraces().keySet())
                .extracting(Thread::getName)
                .noneMatch(name -> name.startsWith("skim-loader") || name.startsWith("skim-cpu"));
    }

    /** Runs before each read of a tensor of the last layer. */
    private record Watched(ModelWeights weights, Runnable beforeLastLayer) implements ModelWeights {

        @Override
        public String name() {
            return "model.gguf";
        }

        @Override
        public ModelConfig config() {
            return weights.config();
        }

        @Override
        public Tensor find(TensorRole role, int layer) {
            Tensor tensor = weights.find(role, layer);
            boolean watched = role.perLayer() && layer == config().layers() - 1;
            return tensor == null || !watched ? tensor : new WatchedTensor(tensor, beforeLastLayer);
        }
    }

    private record WatchedTensor(Tensor tensor, Runnable beforeRead) implements Tensor {

        @Override
        public String name() {
            return tensor.name();
        }

        @Override
        public TensorType type() {
            return tensor.type();
        }

        @Override
        public int rows() {
            return tensor.rows();
        }

        @Override
        public int columns() {
            return tensor.columns();
        }

        @Override
        public void read(int from, int count, byte[] target, int offset) {
            beforeRead.run();
            tensor.read(from, count, target, offset);
        }
    }

    private static CpuBackend open(ModelWeights weights) {
        KvCacheConfig kv = new KvCacheConfig(16, KvType.F32, 0, false);
        return CpuBackend.open(
                weights,
                new BackendConfig(0, 2, 100, 1, 100, kv, WeightFormat.AS_STORED, new Dense(), 0),
                new ScalarKernels());
    }

    private CpuBackend open(Runnable beforeLastLayer) {
        return open(new Watched(weights, beforeLastLayer));
    }

    private static float[] forward(CpuBackend backend) {
        try (KvSequence sequence = new KvSequence(new PagePool(backend.pages()), 16)) {
            assertThat(sequence.reserve(PROMPT.length)).isTrue();
            Span span = new Span(sequence, PROMPT, 0, PROMPT.length, new Dense(), Logits.LAST);
            return backend.forward(List.of(span)).get(0).logits()[0];
        }
    }

    private static void await(CountDownLatch latch) {
        try {
            assertThat(latch.await(30, TimeUnit.SECONDS)).isTrue();
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    @Test
    void aStepWaitsForTheWeightsThatItNeeds() throws Exception {
        float[] expected;
        try (CpuBackend backend = open(weights)) {
            backend.loaded().get(30, TimeUnit.SECONDS);
            expected = forward(backend);
        }
        CountDownLatch gate = new CountDownLatch(1);
        try (CpuBackend backend = open(() -> await(gate))) {
            CompletableFuture<float[]> step = CompletableFuture.supplyAsync(() -> forward(backend));
            Thread.sleep(100);
            assertThat(step).isNotDone();
            assertThat(backend.loaded()).isNotDone();
            gate.countDown();
            assertThat(step.get(30, TimeUnit.SECONDS)).isEqualTo(expected);
            backend.loaded().get(30, TimeUnit.SECONDS);
            assertThat(forward(backend)).isEqualTo(expected);
        }
    }

    @Test
    void aStepThrowsWhatLoadingThrew() {
        CpuBackend backend = open(() -> {
            throw new ModelFormatException("model.gguf: the file ends at byte 7");
        });
        try (backend) {
            for (int i = 0; i < 2; i++) {
                assertThatThrownBy(() -> forward(backend))
                        .isInstanceOf(ModelFormatException.class)
                        .hasMessage("model.gguf: the file ends at byte 7");
            }
            assertThat(backend.loaded()).isCompletedExceptionally();
        }
    }

    @Test
    void aHeapThatIsTooSmallNamesTheModel() {
        CpuBackend backend = open(() -> {
            throw new OutOfMemoryError("Java heap space");
        });
        try (backend) {
            assertThatThrownBy(() -> forward(backend))
                    .isInstanceOf(DeviceMemoryException.class)
                    .hasMessageContaining("too small for the weights of model.gguf: raise it with -Xmx");
        }
    }

    @Test
    void closingEndsTheLoading() throws Exception {
        AtomicInteger reads = new AtomicInteger();
        CountDownLatch begun = new CountDownLatch(1);
        CountDownLatch gate = new CountDownLatch(1);
        CpuBackend backend = open(() -> {
            reads.incrementAndGet();
            begun.countDown();
            await(gate);
        });
        await(begun);
        backend.loaded().cancel(false);
        gate.countDown();
        backend.close();
        assertThat(reads.get()).isLessThanOrEqualTo(2);
        backend.close();
    }

    @Test
    void cancellingEndsAStepThatWaits() throws Exception {
        CountDownLatch gate = new CountDownLatch(1);
        try (CpuBackend backend = open(() -> await(gate))) {
            CompletableFuture<float[]> step = CompletableFuture.supplyAsync(() -> forward(backend));
            backend.loaded().cancel(false);
            assertThatThrownBy(() -> step.get(30, TimeUnit.SECONDS)).hasCauseInstanceOf(CancellationException.class);
            gate.countDown();
        }
    }

    @Test
    void aModelThatCannotFitIsRefusedAtOnce() {
        ModelConfig huge = new ModelConfig(
                config.architecture(),
                1 << 20,
                1 << 10,
                1 << 20,
                200,
                16,
                16,
                64,
                100,
                1e-5f,
                new Rope(10_000, new Rope.None(), false),
                0,
                0,
                false,
                true);
        ModelWeights weights = new RandomWeights(huge, TensorType.Q8_0, 1);
        assertThatThrownBy(() -> open(weights))
                .isInstanceOf(DeviceMemoryException.class)
                .hasMessageContaining("too small for the weights of random weights");
    }
}
