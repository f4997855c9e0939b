package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.AttentionStats;
import io.github.skim4j.engine.backend.Backend.SpanResult;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.backend.TokenDraw;
import io.github.skim4j.engine.backend.cpu.CpuModel.Layer;
import io.github.skim4j.engine.backend.cpu.CpuModel.Linear;
import io.github.skim4j.engine.kv.KvSequence;
import io.github.skim4j.engine.model.ModelConfig;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** The forward pass. All tokens of a step are rows of the activations; a row never depends on another span's. */
final class Transformer {

    /** Rows that a thread takes at a time in loops over rows. */
    private static final int ROWS = 8;

    /** Rows of logits that are computed at a time. */
    private static final int LOGIT_ROWS = 16;

    private final CpuModel model;
    private final ModelConfig config;
    private final MatrixKernels kernels;
    private final WorkerTeam team;
    private final KvPages pages;
    private final TokenRecords records;
    private final Rotary rotary;
    private final Attention attention;
    private final MatrixScratch[] scratch;
    private final Activations buffers = new Activations();
    /** {@code null} but while a model is calibrated. */
    private ChannelWeights observer;

    Transformer(
            CpuModel model,
            CpuKernels kernels,
            WorkerTeam team,
            KvPages pages,
            TokenRecords records,
            Attention attention) {
        this.model = model;
        this.config = model.config();
        this.kernels = kernels.matrix();
        this.team = team;
        this.pages = pages;
        this.records = records;
        this.rotary = new Rotary(config.rope(), config.headDim());
        this.attention = attention;
        scratch = new MatrixScratch[team.threads()];
        for (int i = 0; i < scratch.length; i++) {
            scratch[i] = new MatrixScratch(this.kernels.lanes());
        }
    }

    /** Activations of a step, [row][…]; they grow to the largest step. */
    private static final class Activations {

        float[] residual = {};
        float[] normed = {};
        float[] query = {};
        float[] closedUpQuery = {};
        float[] key = {};
        float[] value = {};
        float[] attended = {};
        float[] sums = {};
        float[] tiles = {};
        float[] cos = {};
        float[] sin = {};
        float[] closedUpCos = {};
        float[] closedUpSin = {};
        float[] logits = {};

        private static float[] grown(float[] array, int size) {
            return array.length >= size ? array : new float[size];
        }
    }

    /** A row of the activations: token {@code index} of a span. */
    private record Row(Span span, int index) {

        int position() {
            return span.sequence().length() + index;
        }

        int slot() {
            return span.sequence().slots() + index;
        }

        int token() {
            return span.tokens()[span.from() + index];
        }
    }

    /** Runs a span and tells each layer's rotated queries and keys. */
    void observe(Span span, ChannelWeights weights) {
        observer = weights;
        try {
            forward(List.of(span));
        } finally {
            observer = null;
        }
    }

    List<SpanResult> forward(List<Span> spans) {
        List<Row> rows = rows(spans);
        clearNewPages(spans);
        grow(rows.size());
        PackedMatrix embedding = model.embedding();
        forRows(rows.size(), r -> embedding.row(rows.get(r).token(), buffers.residual, r * config.hiddenSize()));
        computeAngles(spans, rows.size());
        AttentionStats[] stats = new AttentionStats[spans.size()];
        Arrays.fill(stats, AttentionStats.NONE);
        for (int i = 0; i < config.layers(); i++) {
            Layer layer = model.layer(i);
            attend(i, layer, spans, rows, stats);
            feedForward(layer, rows.size());
        }
        return results(spans, stats);
    }

    private List<Row> rows(List<Span> spans) {
        List<Row> rows = new ArrayList<>();
        for (Span span : spans) {
            for (int i = 0; i < span.count(); i++) {
                Row row = new Row(span, i);
                if (row.token() < 0 || row.token() >= config.vocabSize()) {
                    throw new IllegalArgumentException(
                            "token " + row.token() + " is outside the vocabulary of " + config.vocabSize());
                }
                rows.add(row);
            }
        }
        return rows;
    }

    /** Clears the pages whose first slot is written in this step. */
    private void clearNewPages(List<Span> spans) {
        int pageSize = pages.pageSize();
        for (Span span : spans) {
            int slots = span.sequence().slots();
            for (int p = (slots + pageSize - 1) / pageSize; p * pageSize < slots + span.count(); p++) {
                pages.clear(span.sequence().page(p));
                records.clear(span.sequence().page(p), span.observation() != null);
                attention.clear(span.sequence().page(p));
            }
        }
    }

    private void grow(int rows) {
        Activations b = buffers;
        Layer layer = model.layer(0);
        int hidden = config.hiddenSize();
        int heads = config.heads() * config.headDim();
        int projected = Math.max(layer.attentionOutput().stride(), layer.down().stride());
        b.residual = Activations.grown(b.residual, rows * hidden);
        b.normed = Activations.grown(b.normed, rows * Math.max(hidden, projected));
        int queryOrGate = Math.max(layer.query().stride(), layer.gate().stride());
        b.query = Activations.grown(b.query, rows * queryOrGate);
        b.key = Activations.grown(b.key, rows * layer.key().stride());
        b.value = Activations.grown(b.value, rows * layer.value().stride());
        int attendedOrUp = Math.max(heads, layer.up().stride());
        b.attended = Activations.grown(b.attended, rows * attendedOrUp);
        int widest = Math.max(hidden, Math.max(heads, config.intermediateSize()));
        b.sums = Activations.grown(b.sums, rows * (widest / MatrixInput.SUM_BLOCK));
        if (rows > 1) {
            b.tiles =
                    Activations.grown(b.tiles, (rows + kernels.tile() - 1) / kernels.tile() * kernels.tile() * widest);
        }
        b.cos = Activations.grown(b.cos, rows * rotary.pairs());
        b.sin = Activations.grown(b.sin, rows * rotary.pairs());
    }

    private void computeAngles(List<Span> spans, int rows) {
        Activations b = buffers;
        int pairs = rotary.pairs();
        if (spans.stream().anyMatch(span -> span.sequence().gap() > 0)) {
            b.closedUpCos = Activations.grown(b.closedUpCos, rows * pairs);
            b.closedUpSin = Activations.grown(b.closedUpSin, rows * pairs);
            b.closedUpQuery = Activations.grown(
                    b.closedUpQuery, rows * model.layer(0).query().stride());
        }
        int row = 0;
        for (Span span : spans) {
            KvSequence sequence = span.sequence();
            for (int i = 0; i < span.count(); i++, row++) {
                int position = sequence.length() + i;
                double[] frequencies = rotary.frequenciesFor(position + 1);
                rotary.angles(frequencies, position, b.cos, b.sin, row * pairs);
                if (sequence.gap() > 0) {
                    rotary.angles(frequencies, position - sequence.gap(), b.closedUpCos, b.closedUpSin, row * pairs);
                }
            }
        }
    }

    private void attend(int index, Layer layer, List<Span> spans, List<Row> rows, AttentionStats[] stats) {
        Activations b = buffers;
        int count = rows.size();
        norm(b.residual, layer.attentionNorm(), b.normed, count);
        project(
                b.normed,
                config.hiddenSize(),
                count,
                List.of(layer.query(), layer.key(), layer.value()),
                List.of(b.query, b.key, b.value));
        int queryStride = layer.query().stride();
        forRows(count, r -> finishQueriesAndKeys(index, layer, rows.get(r), r));
        if (observer != null) {
            observer.add(index, count, b.query, queryStride, b.key, layer.key().stride());
        }
        attention.run(index, spans, new Queries(b.query, b.closedUpQuery, queryStride), b.attended, stats);
        addProjection(layer.attentionOutput(), b.attended, config.heads() * config.headDim(), count);
    }

    /** Normalises and rotates a row's heads and stores its keys and values. */
    private void finishQueriesAndKeys(int index, Layer layer, Row row, int r) {
        Activations b = buffers;
        int headDim = config.headDim();
        int angle = r * rotary.pairs();
        KvSequence sequence = row.span().sequence();
        int query = r * layer.query().stride();
        for (int h = 0; h < config.heads(); h++) {
            int at = query + h * headDim;
            if (layer.queryNorm() != null) {
                norm(b.query, at, layer.queryNorm(), b.query, at, headDim);
            }
            if (sequence.gap() > 0) {
                rotary.rotate(b.query, at, b.closedUpQuery, at, b.closedUpCos, b.closedUpSin, angle);
            }
            rotary.rotate(b.query, at, b.query, at, b.cos, b.sin, angle);
        }
        int key = r * layer.key().stride();
        int value = r * layer.value().stride();
        int page = sequence.page(row.slot() / pages.pageSize());
        int slot = row.slot() % pages.pageSize();
        for (int h = 0; h < config.kvHeads(); h++) {
            int at = key + h * headDim;
            if (layer.keyNorm() != null) {
                norm(b.key, at, layer.keyNorm(), b.key, at, headDim);
            }
            rotary.rotate(b.key, at, b.key, at, b.cos, b.sin, angle);
            pages.write(page, index, h, slot, b.key, at, b.value, value + h * headDim);
            if (row.span().observation() != null) {
                records.write(page, index, h, slot, row.position());
            }
        }
    }

    private void feedForward(Layer layer, int count) {
        Activations b = buffers;
        // Attention, whose these are, is done.
        float[] gate = b.query;
        float[] up = b.attended;
        norm(b.residual, layer.ffnNorm(), b.normed, count);
        project(b.normed, config.hiddenSize(), count, List.of(layer.gate(), layer.up()), List.of(gate, up));
        int stride = layer.gate().stride();
        forRows(count, r -> kernels.swiGlu(gate, up, r * stride, config.intermediateSize()));
        addProjection(layer.down(), gate, stride, count);
    }

    /** {@code residual += linear(input)}. */
    private void addProjection(Linear linear, float[] input, int inputStride, int count) {
        Activations b = buffers;
        // What was normed has been read.
        float[] projected = b.normed;
        project(input, inputStride, count, List.of(linear), List.of(projected));
        int stride = linear.stride();
        int width = config.hiddenSize();
        forRows(count, r -> {
            for (int i = 0; i < width; i++) {
                b.residual[r * width + i] += projected[r * stride + i];
            }
        });
    }

    /** Several linear layers of one input, [count][stride]; outputs are [count][paddedRows]. */
    private void project(float[] input, int stride, int count, List<Linear> linears, List<float[]> outputs) {
        MatrixInput in = prepared(input, stride, count, linears);
        int panels = linears.stream().mapToInt(linear -> linear.weight().panels).sum();
        team.run(panels, (worker, i) -> {
            int panel = i;
            int which = 0;
            while (panel >= linears.get(which).weight().panels) {
                panel -= linears.get(which++).weight().panels;
            }
            Linear linear = linears.get(which);
            PackedMatrix weight = linear.weight();
            float[] output = outputs.get(which);
            kernels.multiply(weight, panel, in, output, weight.paddedRows(), scratch[worker]);
            if (linear.bias() != null) {
                addBias(linear, panel, output, count);
            }
        });
    }

    /** The input in the forms that the kernels want for these layers. */
    private MatrixInput prepared(float[] values, int stride, int count, List<Linear> linears) {
        int columns = linears.get(0).weight().columns;
        boolean sums = linears.stream().anyMatch(linear -> linear.weight().needsSums());
        MatrixInput in = new MatrixInput(values, stride, columns, count, sums ? buffers.sums : null, buffers.tiles);
        if (sums) {
            forRows(count, in::sum);
        }
        int tile = kernels.tile();
        if (count > 1) {
            team.run((count + tile - 1) / tile, (worker, i) -> in.fillTile(i, tile));
        }
        return in;
    }

    private static void addBias(Linear linear, int panel, float[] output, int count) {
        PackedMatrix weight = linear.weight();
        int from = panel * weight.lanes;
        int end = Math.min(from + weight.lanes, weight.rows);
        for (int t = 0; t < count; t++) {
            for (int i = from; i < end; i++) {
                output[t * weight.paddedRows() + i] += linear.bias()[i];
            }
        }
    }

    private void norm(float[] input, float[] weight, float[] output, int count) {
        int width = config.hiddenSize();
        forRows(count, r -> norm(input, r * width, weight, output, r * width, width));
    }

    /** RMSNorm (arXiv 1910.07467). */
    private void norm(float[] input, int from, float[] weight, float[] output, int to, int width) {
        float meanSquare = kernels.sumOfSquares(input, from, width) / width;
        float scale = (float) (1 / Math.sqrt(meanSquare + config.rmsNormEps()));
        for (int i = 0; i < width; i++) {
            output[to + i] = input[from + i] * scale * weight[i];
        }
    }

    private interface RowTask {
        void run(int row);
    }

    private void forRows(int count, RowTask task) {
        team.run((count + ROWS - 1) / ROWS, (worker, chunk) -> {
            for (int r = chunk * ROWS; r < Math.min(count, (chunk + 1) * ROWS); r++) {
                task.run(r);
            }
        });
    }

    private List<SpanResult> results(List<Span> spans, AttentionStats[] stats) {
        List<SpanResult> results = new ArrayList<>();
        int row = 0;
        List<float[]> wanted = new ArrayList<>();
        List<Integer> rows = new ArrayList<>();
        for (int s = 0; s < spans.size(); s++) {
            Span span = spans.get(s);
            int first = switch (span.logits()) {
                case NONE -> span.count();
                case TOKEN, LAST -> span.count() - 1;
                case ALL -> 0;
            };
            float[][] logits = new float[span.count() - first][config.vocabSize()];
            for (int i = 0; i < logits.length; i++) {
                wanted.add(logits[i]);
                rows.add(row + first + i);
            }
            results.add(new SpanResult(logits, -1, stats[s]));
            row += span.count();
        }
        for (int i = 0; i < rows.size(); i += LOGIT_ROWS) {
            int end = Math.min(rows.size(), i + LOGIT_ROWS);
            logits(rows.subList(i, end), wanted.subList(i, end));
        }
        team.run(spans.size(), (worker, s) -> {
            TokenDraw draw = spans.get(s).draw();
            if (draw != null) {
                float[] last = results.get(s).logits()[0];
                results.set(s, new SpanResult(new float[0][], draw.pick(last), stats[s]));
            }
        });
        return results;
    }

    private void logits(List<Integer> rows, List<float[]> targets) {
        Activations b = buffers;
        int width = config.hiddenSize();
        PackedMatrix output = model.output();
        float[] outputNorm = model.outputNorm();
        int stride = output.paddedRows();
        b.logits = Activations.grown(b.logits, rows.size() * stride);
        for (int i = 0; i < rows.size(); i++) {
            norm(b.residual, rows.get(i) * width, outputNorm, b.normed, i * width, width);
        }
        project(b.normed, width, rows.size(), List.of(new Linear(output, null)), List.of(b.logits));
        for (int i = 0; i < rows.size(); i++) {
            System.arraycopy(b.logits, i * stride, targets.get(i), 0, config.vocabSize());
        }
    }
}
