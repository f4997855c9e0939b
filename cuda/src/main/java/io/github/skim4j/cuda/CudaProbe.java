package io.github.skim4j.cuda;

import io.github.skim4j.cuda.SelectionPlan.Stages;
import io.github.skim4j.engine.AttentionStats;
import io.github.skim4j.engine.attention.Dense;
import io.github.skim4j.engine.attention.EvictionMethod;
import io.github.skim4j.engine.backend.ProbedHead;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.model.HalfFloats;
import io.github.skim4j.engine.model.ModelConfig;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import jcuda.driver.CUdeviceptr;
import jcuda.driver.JCudaDriver;

/**
 * Compares what a selecting method read with dense attention, in a share of the decode steps, each time for one layer and KV head: there
 * the token is attended twice more, over what was selected without log weights and over everything.
 */
final class CudaProbe implements AutoCloseable {

    private static final String WHAT = "the recall probe";
    private static final String REMEDY = "Set attention.recall-probe to 0";

    private final CudaDevice device;
    private final ModelConfig config;
    private final CudaAttention attention;
    private final double share;
    private final List<Probed> probed = new ArrayList<>();
    /** Of each probed head the output over everything, then over what was selected; likewise {@link #logSums}. */
    private HalfRows outputs;

    private DeviceBuffer logSums;
    /** Of each probed head the output of the step and over everything, then the log sums over what was selected and over everything. */
    private PinnedBuffer results;

    /** A head of a span of the step. */
    private record Probed(int span, ProbedHead head) {}

    CudaProbe(CudaDevice device, ModelConfig config, CudaAttention attention, double share) {
        this.device = device;
        this.config = config;
        this.attention = attention;
        this.share = share;
    }

    /**
     * Begins a step: chooses what is compared.
     *
     * @param selection {@code null} if there are no lists
     */
    void begin(Step step, CudaSelection selection) {
        probed.clear();
        // Lists that are made in turn are gone when the layer is done.
        if (share == 0 || (selection != null && step.entries() > selection.capacity())) {
            return;
        }
        for (int s = 0; s < step.spans().size(); s++) {
            Span span = step.spans().get(s);
            boolean selects = !(span.attention() instanceof Dense || span.attention() instanceof EvictionMethod);
            ProbedHead head = selects && span.count() == 1
                    ? ProbedHead.of(share, span.sequence().length(), span.attention(), config)
                    : null;
            if (head != null) {
                probed.add(new Probed(s, head));
            }
        }
        if (!probed.isEmpty() && (outputs == null || outputs.capacity() < 2 * probed.size())) {
            allocate(probed.size());
        }
    }

    private void allocate(int heads) {
        close();
        outputs = HalfRows.allocate(device, 2 * heads, config.heads() * config.headDim(), WHAT, REMEDY);
        logSums = device.allocateCleared(2L * heads * config.heads() * Float.BYTES, WHAT, REMEDY);
        results = new PinnedBuffer((long) heads * resultBytes());
    }

    /** Whether the step compares nothing. */
    boolean isIdle() {
        return probed.isEmpty();
    }

    private int outputBytes() {
        return config.group() * config.headDim() * Short.BYTES;
    }

    private int logSumBytes() {
        return config.group() * Float.BYTES;
    }

    private int resultBytes() {
        return 2 * (outputBytes() + logSumBytes());
    }

    /**
     * Queues the comparisons of a layer, after its attention.
     *
     * @param attended what attention made of it
     */
    void queue(KvStorage cache, int layer, Step step, CudaSelection selection, Stages stages, HalfRows attended) {
        for (int i = 0; i < probed.size(); i++) {
            ProbedHead head = probed.get(i).head;
            if (head.layer() == layer) {
                int entry = probed.get(i).span;
                attention.runAgain(cache, layer, step, entry, outputs, logSums, 2 * i);
                if (!stages.none()) {
                    attention.runSelectedAgain(
                            cache, layer, step, selection, stages, entry, outputs, logSums, 2 * i + 1);
                }
                int to = i * resultBytes();
                copy(to, output(attended, entry, head), outputBytes());
                copy(to + outputBytes(), output(outputs, 2 * i, head), outputBytes());
                // Without lists everything was read.
                copy(to + 2 * outputBytes(), logSum(stages.none() ? 2 * i : 2 * i + 1, head), logSumBytes());
                copy(to + 2 * outputBytes() + logSumBytes(), logSum(2 * i, head), logSumBytes());
            }
        }
    }

    private CUdeviceptr output(HalfRows rows, int row, ProbedHead head) {
        int column = head.kvHead() * config.group() * config.headDim();
        return rows.buffer().pointer(((long) row * rows.stride() + column) * Short.BYTES);
    }

    private CUdeviceptr logSum(int row, ProbedHead head) {
        return logSums.pointer(((long) row * config.heads() + head.kvHead() * config.group()) * Float.BYTES);
    }

    private void copy(int to, CUdeviceptr from, int bytes) {
        Driver.check(
                JCudaDriver.cuMemcpyDtoHAsync(results.pointer(to), from, bytes, device.stream()), "cuMemcpyDtoHAsync");
    }

    /** What was found of a span, when the step is done. */
    AttentionStats result(int span) {
        AttentionStats stats = AttentionStats.NONE;
        for (int i = 0; i < probed.size(); i++) {
            if (probed.get(i).span == span) {
                stats = stats.plus(compare(i * resultBytes()));
            }
        }
        return stats;
    }

    private AttentionStats compare(int at) {
        ByteBuffer bytes = results.bytes();
        int rows = config.group();
        int logSumsAt = at + 2 * outputBytes();
        double mass = 0;
        double error = 0;
        for (int r = 0; r < rows; r++) {
            float kept = bytes.getFloat(logSumsAt + r * Float.BYTES);
            float all = bytes.getFloat(logSumsAt + logSumBytes() + r * Float.BYTES);
            mass += Math.pow(2, kept - all);
            double difference = 0;
            double norm = 0;
            for (int i = r * config.headDim(); i < (r + 1) * config.headDim(); i++) {
                double exact = half(bytes, at + outputBytes() + i * Short.BYTES);
                difference += Math.pow(half(bytes, at + i * Short.BYTES) - exact, 2);
                norm += exact * exact;
            }
            error += norm == 0 ? 0 : Math.sqrt(difference / norm);
        }
        return AttentionStats.ofProbe(new AttentionStats.Probe(1, mass / rows, error / rows));
    }

    private static float half(ByteBuffer bytes, int at) {
        return HalfFloats.float16ToFloat(bytes.getShort(at));
    }

    @Override
    public void close() {
        if (results != null) {
            results.close();
            outputs.buffer().close();
            logSums.close();
        }
    }
}
