package io.github.skim4j.cuda;

import io.github.skim4j.cuda.ModelUpload.MatrixPart;
import io.github.skim4j.engine.backend.BackendException;
import io.github.skim4j.engine.model.Quantization;
import io.github.skim4j.engine.model.Tensor;
import io.github.skim4j.engine.model.TensorType;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import jcuda.driver.JCudaDriver;

/**
 * Sends matrices to the device as they are stored, where kernels lay them out: threads read pieces of the file, each through pinned
 * memory and a stream of its own, so that reading, copying and laying out go on side by side.
 */
final class WeightStream {

    private static final int PIECE_BYTES = 8 << 20;

    private static final int MOST_LANES = 8;

    /** Of a launch that lays out a piece; any will do. */
    private static final int BLOCKS = 512;

    private static final int THREADS = 128;

    private final CudaDevice device;

    WeightStream(CudaDevice device) {
        this.device = device;
    }

    /** Rows of stored matrices that one lane sends one after the other, as they share tiles. */
    private record Piece(List<MatrixPart> parts, int firstRow, int rows) {}

    /**
     * Returns when all is laid out.
     *
     * @param matrices what shares tiles is in one list, and has as many rows
     */
    void send(List<List<MatrixPart>> matrices) {
        List<Piece> pieces = new ArrayList<>();
        int largest = 0;
        for (List<MatrixPart> parts : matrices) {
            int rowBytes =
                    parts.stream().mapToInt(WeightStream::sentRowBytes).max().orElseThrow();
            int tiles = Math.max(1, PIECE_BYTES / rowBytes / MatrixType.TILE);
            int rows = tiles * MatrixType.TILE;
            int all = parts.get(0).tensor().rows();
            for (int from = 0; from < all; from += rows) {
                pieces.add(new Piece(parts, from, Math.min(rows, all - from)));
            }
            largest = Math.max(largest, Math.multiplyExact(Math.min(rows, all), rowBytes));
        }
        int bytes = largest;
        int lanes = Math.min(
                Math.min(MOST_LANES, pieces.size()), Runtime.getRuntime().availableProcessors());
        ExecutorService threads = Executors.newFixedThreadPool(lanes, task -> {
            Thread thread = new Thread(task, "skim-weights");
            thread.setDaemon(true);
            return thread;
        });
        try {
            AtomicInteger next = new AtomicInteger();
            List<Future<?>> running = new ArrayList<>();
            for (int i = 0; i < lanes; i++) {
                running.add(threads.submit(() -> runLane(pieces, next, bytes)));
            }
            await(running);
        } finally {
            threads.shutdownNow();
        }
    }

    private static void await(List<Future<?>> running) {
        RuntimeException failure = null;
        for (Future<?> lane : running) {
            try {
                lane.get();
            } catch (ExecutionException e) {
                failure = first(failure, e.getCause());
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                failure = first(failure, e);
            }
        }
        if (failure != null) {
            throw failure;
        }
    }

    private static RuntimeException first(RuntimeException before, Throwable failure) {
        if (before == null) {
            return failure instanceof RuntimeException known
                    ? known
                    : new BackendException("Sending weights failed", failure);
        }
        before.addSuppressed(failure);
        return before;
    }

    private static int sentRowBytes(MatrixPart part) {
        return Math.toIntExact(part.type().bytes(part.tensor().columns()));
    }

    private void runLane(List<Piece> pieces, AtomicInteger next, int bytes) {
        device.current();
        try (CudaStream stream = new CudaStream();
                DeviceBuffer raw = device.allocate(bytes, "loading weights", "Close other programs that use the GPU");
                PinnedBuffer pinned = new PinnedBuffer(bytes)) {
            try {
                for (int i = next.getAndIncrement(); i < pieces.size(); i = next.getAndIncrement()) {
                    Piece piece = pieces.get(i);
                    for (MatrixPart part : piece.parts) {
                        stream.synchronize();
                        read(part, piece.firstRow, piece.rows, pinned.bytes().clear());
                        Driver.check(
                                JCudaDriver.cuMemcpyHtoDAsync(
                                        raw.pointer(), pinned.pointer(), piece.rows * sentRowBytes(part), stream),
                                "cuMemcpyHtoDAsync");
                        layOut(part, piece.firstRow, piece.rows, raw, stream);
                    }
                }
            } finally {
                next.set(pieces.size());
                // Nothing may still use the memory that is freed next.
                stream.synchronize();
            }
        }
    }

    /** Rows as they are sent. */
    private static void read(MatrixPart part, int firstRow, int rows, ByteBuffer target) {
        Tensor tensor = part.tensor();
        TensorType type = part.type();
        if (type == tensor.type()) {
            tensor.read(firstRow, rows, target);
            return;
        }
        byte[] stored = new byte[rows * tensor.rowBytes()];
        tensor.read(firstRow, rows, stored, 0);
        float[] values = new float[tensor.columns()];
        byte[] sent = new byte[sentRowBytes(part)];
        for (int r = 0; r < rows; r++) {
            Quantization.dequantize(tensor.type(), stored, r * tensor.rowBytes(), values, 0, tensor.columns());
            Quantization.quantize(type, values, 0, sent, 0, tensor.columns());
            target.put(sent);
        }
    }

    private void layOut(MatrixPart part, int firstRow, int rows, DeviceBuffer raw, CudaStream stream) {
        DeviceMatrix target = part.target();
        Arguments arguments = new Arguments()
                .address(raw)
                .integer(firstRow)
                .integer(rows)
                .integer(part.tensor().columns())
                .integer(part.paired() ? 1 : 0)
                .integer(part.rowOffset())
                .address(target.units())
                .address(target.scales());
        device.kernel("pack_" + part.type().name().toLowerCase(Locale.ROOT))
                .launch(stream, BLOCKS, 1, 1, THREADS, 0, arguments);
    }
}
