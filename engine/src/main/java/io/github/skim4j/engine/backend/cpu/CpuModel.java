package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.backend.DeviceMemoryException;
import io.github.skim4j.engine.model.ModelConfig;
import io.github.skim4j.engine.model.ModelWeights;
import io.github.skim4j.engine.model.Tensor;
import io.github.skim4j.engine.model.TensorRole;
import io.github.skim4j.engine.model.WeightFormat;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.function.Consumer;
import java.util.stream.Stream;

/**
 * A model's weights in memory. Threads load them part by part in the order in which a step needs them, and who asks for a part that isn't
 * there waits for it. Parts are asked for by one thread.
 */
final class CpuModel implements AutoCloseable {

    /** A linear layer: [out][in] and a bias of [out], {@code null} if there is none. */
    record Linear(PackedMatrix weight, float[] bias) {

        /** The distance between two rows of its output. */
        int stride() {
            return weight.paddedRows();
        }
    }

    /** A transformer block. Norms that a model lacks are {@code null}. */
    record Layer(
            float[] attentionNorm,
            Linear query,
            Linear key,
            Linear value,
            float[] queryNorm,
            float[] keyNorm,
            Linear attentionOutput,
            float[] ffnNorm,
            Linear gate,
            Linear up,
            Linear down) {}

    /** @param matrix {@code null} if it is the embedding */
    private record Output(float[] norm, PackedMatrix matrix) {}

    /** What one thread loads and another waits for. */
    private static final class Part<T> {

        private final CompletableFuture<T> loaded = new CompletableFuture<>();
        /** The same for the thread that asks, so that a step costs no more than a plain read. */
        private T value;

        T get() {
            if (value == null) {
                value = await();
            }
            return value;
        }

        private T await() {
            try {
                return loaded.join();
            } catch (CompletionException e) {
                if (e.getCause() instanceof Error error) {
                    throw error;
                }
                throw (RuntimeException) e.getCause();
            }
        }
    }

    private final ModelConfig config;
    private final Part<PackedMatrix> embedding = new Part<>();
    private final List<Part<Layer>> layers;
    private final Part<Output> output = new Part<>();
    private final CompletableFuture<Void> loaded;
    private final List<Thread> threads = new ArrayList<>();

    /** A model with nothing loaded. */
    CpuModel(ModelConfig config) {
        this.config = config;
        layers = Stream.generate(Part<Layer>::new).limit(config.layers()).toList();
        loaded = CompletableFuture.allOf(parts().map(part -> part.loaded).toArray(CompletableFuture<?>[]::new));
        loaded.whenComplete((nothing, failure) -> {
            if (failure != null) {
                parts().forEach(part -> part.loaded.completeExceptionally(failure));
            }
        });
    }

    private Stream<Part<?>> parts() {
        return Stream.concat(Stream.of(embedding, output), layers.stream());
    }

    /** Bytes that the matrices of a model will take. */
    static long bytes(ModelWeights weights, int lanes, WeightFormat format) {
        ModelConfig config = weights.config();
        long bytes = 0;
        for (TensorRole role : TensorRole.values()) {
            if (role.isMatrix() && role.required(config)) {
                for (int i = 0; i < (role.perLayer() ? config.layers() : 1); i++) {
                    Tensor tensor = weights.require(role, i);
                    bytes +=
                            PackedMatrix.bytes(format.loadedType(tensor, role), tensor.rows(), tensor.columns(), lanes);
                }
            }
        }
        return bytes;
    }

    /** Starts to load; {@link #loaded} says when that is done. */
    void load(ModelWeights weights, int threadCount, int lanes, WeightFormat format) {
        // Belongs to the threads alone, so that the file's header goes with them.
        Queue<Consumer<MatrixLoader>> work = new ConcurrentLinkedQueue<>();
        work.add(loader -> embedding.loaded.complete(
                loader.load(weights.require(TensorRole.TOKEN_EMBEDDING, 0), TensorRole.TOKEN_EMBEDDING)));
        for (int i = 0; i < layers.size(); i++) {
            int layer = i;
            work.add(loader -> layers.get(layer).loaded.complete(layer(weights, loader, layer)));
        }
        work.add(loader -> output.loaded.complete(new Output(
                vector(weights, TensorRole.OUTPUT_NORM, 0),
                config.tiedEmbeddings()
                        ? null
                        : loader.load(weights.require(TensorRole.OUTPUT, 0), TensorRole.OUTPUT))));
        String name = weights.name();
        for (int i = 0; i < Math.min(threadCount, work.size()); i++) {
            MatrixLoader loader = new MatrixLoader(lanes, format, loaded::isDone);
            Thread thread = new Thread(() -> run(work, loader, name), "skim-loader-" + (i + 1));
            thread.setDaemon(true);
            threads.add(thread);
            thread.start();
        }
    }

    private void run(Queue<Consumer<MatrixLoader>> work, MatrixLoader loader, String name) {
        try {
            for (Consumer<MatrixLoader> part = work.poll(); part != null && !loaded.isDone(); part = work.poll()) {
                part.accept(loader);
            }
        } catch (OutOfMemoryError e) {
            loaded.completeExceptionally(tooSmall(name, e));
        } catch (Throwable e) {
            loaded.completeExceptionally(e);
        }
    }

    /** What to say when the heap has no room for the weights. */
    static DeviceMemoryException tooSmall(String name, OutOfMemoryError cause) {
        return new DeviceMemoryException(
                "the Java heap of " + CpuBackend.megabytes(Runtime.getRuntime().maxMemory())
                        + " is too small for the weights of " + name + ": raise it with -Xmx",
                cause);
    }

    private static Layer layer(ModelWeights weights, MatrixLoader loader, int i) {
        boolean qkNorm = weights.config().qkNorm();
        return new Layer(
                vector(weights, TensorRole.ATTENTION_NORM, i),
                linear(weights, loader, TensorRole.QUERY, TensorRole.QUERY_BIAS, i),
                linear(weights, loader, TensorRole.KEY, TensorRole.KEY_BIAS, i),
                linear(weights, loader, TensorRole.VALUE, TensorRole.VALUE_BIAS, i),
                qkNorm ? vector(weights, TensorRole.QUERY_NORM, i) : null,
                qkNorm ? vector(weights, TensorRole.KEY_NORM, i) : null,
                linear(weights, loader, TensorRole.ATTENTION_OUTPUT, TensorRole.ATTENTION_OUTPUT_BIAS, i),
                vector(weights, TensorRole.FFN_NORM, i),
                linear(weights, loader, TensorRole.GATE, TensorRole.GATE_BIAS, i),
                linear(weights, loader, TensorRole.UP, TensorRole.UP_BIAS, i),
                linear(weights, loader, TensorRole.DOWN, TensorRole.DOWN_BIAS, i));
    }

    private static Linear linear(ModelWeights weights, MatrixLoader loader, TensorRole role, TensorRole bias, int i) {
        Tensor vector = weights.find(bias, i);
        return new Linear(loader.load(weights.require(role, i), role), vector == null ? null : vector.toFloats());
    }

    private static float[] vector(ModelWeights weights, TensorRole role, int i) {
        return weights.require(role, i).toFloats();
    }

    ModelConfig config() {
        return config;
    }

    PackedMatrix embedding() {
        return embedding.get();
    }

    Layer layer(int i) {
        return layers.get(i).get();
    }

    float[] outputNorm() {
        return output.get().norm();
    }

    PackedMatrix output() {
        PackedMatrix matrix = output.get().matrix();
        return matrix == null ? embedding() : matrix;
    }

    /** See {@link io.github.skim4j.engine.backend.Backend#loaded}. */
    CompletableFuture<Void> loaded() {
        return loaded;
    }

    /** Ends and joins the threads; idempotent. */
    @Override
    public void close() {
        loaded.cancel(false);
        boolean interrupted = false;
        for (Thread thread : threads) {
            while (thread.isAlive()) {
                try {
                    thread.join();
                } catch (InterruptedException e) {
                    interrupted = true;
                }
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
