package io.github.skim4j.cuda;

import io.github.skim4j.cuda.CudaModel.Layer;
import io.github.skim4j.cuda.CudaModel.Linear;
import io.github.skim4j.cuda.Products.Target;
import io.github.skim4j.cuda.SelectionPlan.Stages;
import io.github.skim4j.engine.kv.KvCacheConfig.KvType;
import io.github.skim4j.engine.model.ModelConfig;
import java.util.function.IntConsumer;
import java.util.stream.Stream;

/**
 * The layers of a model: queues the kernels that turn a step's tokens, whose numbers {@link StepInputs} has, into logits. Nothing is
 * waited for, and all addresses stay the same, so that a step can be captured as a graph.
 */
final class CudaTransformer {

    /** Logits that there is room for. */
    static final int LOGIT_ROWS = Products.FEW_ROWS;

    private static final String ACTIVATIONS = "activations";
    private static final String REMEDY = "Lower scheduler.prefill-chunk or scheduler.max-batch-size";

    private static final int ROW_THREADS = 256;

    /** Of a row. */
    private static final int DRAW_BLOCKS = 8;

    private static final int DRAW_THREADS = 1024;

    private final CudaDevice device;
    private final CudaStream stream;
    private final CudaModel model;
    private final ModelConfig config;
    private final StepInputs inputs;
    private final Products products;
    private final CudaAttention attention;

    private final DeviceBuffer residual;
    private final HalfRows normed;
    private final DeviceBuffer heads;
    private final HalfRows attended;
    private final HalfRows activated;
    private final HalfRows last;
    private final DeviceBuffer logits;
    private final DeviceBuffer drawn;

    CudaTransformer(CudaDevice device, CudaModel model, KvType type, StepInputs inputs, Products products) {
        this.device = device;
        this.stream = device.stream();
        this.model = model;
        this.config = model.config();
        this.inputs = inputs;
        this.products = products;
        int rows = inputs.maxRows();
        int hidden = config.hiddenSize();
        residual = floats(rows, hidden);
        normed = halves(rows, hidden);
        heads = floats(rows, CudaAttention.headColumns(config));
        attended = halves(rows, config.heads() * config.headDim());
        activated = halves(rows, config.intermediateSize());
        last = halves(LOGIT_ROWS, hidden);
        logits = floats(LOGIT_ROWS, config.vocabSize());
        drawn = device.allocateCleared((long) LOGIT_ROWS * Integer.BYTES, ACTIVATIONS, REMEDY);
        attention = new CudaAttention(device, config, type, inputs);
    }

    private DeviceBuffer floats(int rows, int columns) {
        return device.allocateCleared((long) rows * columns * Float.BYTES, ACTIVATIONS, REMEDY);
    }

    private HalfRows halves(int rows, int columns) {
        return HalfRows.allocate(device, rows, columns, ACTIVATIONS, REMEDY);
    }

    /** Numbers of the largest matrix that is ever unpacked: all but embedding and output, which multiply few rows at a time. */
    static long largestUnpacked(CudaModel model) {
        return model.layers().stream()
                .flatMap(layer -> Stream.concat(
                        layer.inputs().stream(), Stream.of(layer.attentionOutput(), layer.gateUp(), layer.down())))
                .mapToLong(linear -> Products.unpackedSize(linear.weight()))
                .max()
                .orElseThrow();
    }

    /** Logits of the rows asked for last, [{@link #LOGIT_ROWS}][vocabSize]. */
    DeviceBuffer logits() {
        return logits;
    }

    /** The token drawn from each row's logits, -1 if none of them is finite. */
    DeviceBuffer drawn() {
        return drawn;
    }

    /**
     * Queues all layers.
     *
     * @param rows tokens of the step and padding
     * @param entries rows from the first on that are attended one by one
     * @param selection makes the lists of entries where the plan says so
     * @param afterAppend called with each layer when its keys and values are in the cache
     * @param afterAttention called with each layer when its tokens are attended
     */
    void runLayers(
            KvStorage cache,
            Step step,
            SelectionPlan plan,
            int rows,
            int entries,
            CudaSelection selection,
            IntConsumer afterAppend,
            IntConsumer afterAttention) {
        embed(rows);
        for (int i = 0; i < config.layers(); i++) {
            Layer layer = model.layers().get(i);
            norm(residual, 0, layer.attentionNorm(), normed, rows);
            int columns = CudaAttention.headColumns(config);
            long y = heads.address();
            for (Linear input : layer.inputs()) {
                products.multiply(input, normed, rows, Target.STORE, 1, y, columns);
                y += (long) input.weight().rows() * Float.BYTES;
            }
            attention.append(cache, i, layer, heads, step, rows);
            afterAppend.accept(i);
            attend(cache, i, step, plan, entries, selection);
            afterAttention.accept(i);
            addProduct(layer.attentionOutput(), attended, rows, 1);
            norm(residual, 0, layer.ffnNorm(), normed, rows);
            products.multiply(
                    layer.gateUp(),
                    normed,
                    rows,
                    Target.ACTIVATE,
                    1,
                    activated.buffer().address(),
                    activated.stride());
            addProduct(layer.down(), activated, rows, Products.ACTIVATION_SCALE);
        }
    }

    private void attend(
            KvStorage cache, int layer, Step step, SelectionPlan plan, int entries, CudaSelection selection) {
        int interval = plan.interval(layer);
        Stages stages = plan.intervals().get(interval).stages();
        if (stages.none()) {
            attention.run(cache, layer, attended, step, entries);
            return;
        }
        for (int from = 0; from < entries; from += selection.capacity()) {
            int count = Math.min(selection.capacity(), entries - from);
            selection.run(layer, interval, stages, from, count);
            attention.runSelected(cache, layer, attended, step, selection, stages, from, count);
        }
        attention.run(cache, layer, attended, step, 0);
    }

    /** What attention made of the layer that was attended last. */
    HalfRows attended() {
        return attended;
    }

    CudaAttention attention() {
        return attention;
    }

    /** Queues the logits of the {@code count} rows that stand from {@code from} on among those that the step wants, and their draws. */
    void runLogits(int from, int count) {
        norm(residual, inputs.logitRows(from), model.outputNorm(), last, count);
        products.multiply(
                new Linear(model.output(), null), last, count, Target.STORE, 1, logits.address(), config.vocabSize());
        device.kernel("draw")
                .launch(
                        stream,
                        DRAW_BLOCKS,
                        count,
                        1,
                        DRAW_THREADS,
                        0,
                        new Arguments()
                                .address(logits)
                                .integer(config.vocabSize())
                                .integer(config.vocabSize())
                                .address(inputs.draws(from))
                                .address(drawn));
    }

    private void embed(int rows) {
        DeviceMatrix embedding = model.embedding();
        device.kernel("embed_" + embedding.type().suffix())
                .launch(
                        stream,
                        rows,
                        1,
                        1,
                        ROW_THREADS,
                        0,
                        new Arguments()
                                .address(embedding.units())
                                .address(embedding.scales())
                                .integer(config.hiddenSize())
                                .address(inputs.tokens())
                                .integer(rows)
                                .address(residual));
    }

    private void addProduct(Linear linear, HalfRows x, int rows, float scale) {
        products.multiply(linear, x, rows, Target.ADD, scale, residual.address(), config.hiddenSize());
    }

    /** @param rowIndex address of the rows to take; 0 takes all in order */
    private void norm(DeviceBuffer x, long rowIndex, DeviceBuffer weight, HalfRows out, int rows) {
        device.kernel("rms_norm")
                .launch(
                        stream,
                        rows,
                        1,
                        1,
                        ROW_THREADS,
                        0,
                        new Arguments()
                                .address(x)
                                .integer(config.hiddenSize())
                                .address(rowIndex)
                                .address(weight)
                                .address(out.buffer())
                                .integer(out.stride())
                                .integer(config.hiddenSize())
                                .real(config.rmsNormEps()));
    }
}
