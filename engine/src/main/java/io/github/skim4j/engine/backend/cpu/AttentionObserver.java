package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.attention.Tova;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.backend.cpu.Attention.Reading;
import io.github.skim4j.engine.model.ModelConfig;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Records which share of the attention each cached token gets, for spans that observe: after a layer's attention, with its log-sum-exp,
 * the keys are scored a second time. A KV head's shares are summed over its query heads.
 */
final class AttentionObserver {

    /** Most slots in a task. */
    private static final int SPLIT = 256;

    private final ModelConfig config;
    private final AttentionKernels kernels;
    private final KvPages pages;
    private final TokenRecords records;
    private final WorkerTeam team;
    private final Scratch[] scratch;
    private final List<Task> tasks = new ArrayList<>();

    AttentionObserver(
            ModelConfig config, AttentionKernels kernels, KvPages pages, TokenRecords records, WorkerTeam team) {
        this.config = config;
        this.kernels = kernels;
        this.pages = pages;
        this.records = records;
        this.team = team;
        scratch = new Scratch[team.threads()];
        int rows = Attend.even(Math.max(Attend.TILE_ROWS, config.group()));
        for (int i = 0; i < scratch.length; i++) {
            scratch[i] = new Scratch(rows, config.headDim(), pages.pageSize());
        }
    }

    /** Slots {@code from} to {@code end} of a KV head, read by all tiles of a span: no other task writes their records. */
    private record Task(Span span, List<Reading> readings, int from, int end) {}

    /** A thread's memory. */
    private static final class Scratch {

        /** [row][headDim] */
        final float[] queries;
        /** [row][pageSize] */
        final float[] scores;

        Scratch(int rows, int headDim, int pageSize) {
            queries = new float[rows * headDim];
            scores = new float[rows * pageSize];
        }
    }

    /** Whether any of the span's tokens is observed. */
    static boolean observes(Span span) {
        return span.observation() != null
                && firstObserved(span) < Math.min(span.observation().end(), endPosition(span));
    }

    /** Adds what the tiles of an observing span and one KV head read to the next run. */
    void add(Span span, List<Reading> readings) {
        int slots = span.sequence().slots() + span.count();
        for (int from = 0; from < slots; from += SPLIT) {
            tasks.add(new Task(span, readings, from, Math.min(slots, from + SPLIT)));
        }
    }

    /** @param logSums of the scores' exponentials, [row][heads] */
    void run(Queries queries, float[] logSums) {
        team.run(tasks.size(), (worker, i) -> observe(tasks.get(i), queries, logSums, scratch[worker]));
        tasks.clear();
    }

    private static int endPosition(Span span) {
        return span.sequence().length() + span.count();
    }

    private static int firstObserved(Span span) {
        // To TOVA only the last query matters.
        int first = span.observation().method() instanceof Tova ? endPosition(span) - 1 : 0;
        return Math.max(first, span.observation().from());
    }

    private void observe(Task task, Queries queries, float[] logSums, Scratch scratch) {
        if (task.span.observation().method() instanceof Tova) {
            forget(task);
        }
        int first = firstObserved(task.span);
        int end = task.span.observation().end();
        for (Reading reading : task.readings) {
            QueryTile tile = reading.tile();
            if (tile.endPosition() > first && tile.firstPosition() < end) {
                queries.gather(config, tile, TokenList.POSITIONED, scratch.queries);
                for (int e = 0; e < reading.list().size(); e++) {
                    int slot = reading.list().slot(e);
                    if (slot >= task.from && slot < task.end) {
                        observe(reading, e, Math.max(first, tile.firstPosition()), end, logSums, scratch);
                    }
                }
            }
        }
    }

    private void forget(Task task) {
        QueryTile tile = task.readings.get(0).tile();
        int from = records.index(tile.layer(), tile.kvHead());
        for (int slot = task.from; slot < task.end; slot += pages.pageSize()) {
            float[] attention = records.attention(tile.sequence().page(slot / pages.pageSize()));
            Arrays.fill(attention, from, from + pages.pageSize(), 0);
        }
    }

    /** Adds the shares that the tile's queries at positions {@code first} to {@code end} give to an entry's tokens. */
    private void observe(Reading reading, int entry, int first, int end, float[] logSums, Scratch scratch) {
        QueryTile tile = reading.tile();
        int page = reading.list().page(entry);
        int pageSize = pages.pageSize();
        int group = config.group();
        int rows = tile.tokens() * group;
        pages.score(kernels, page, tile.layer(), tile.kvHead(), scratch.queries, rows, scratch.scores, 0, pageSize);
        float[] attention = records.attention(page);
        int to = records.index(tile.layer(), tile.kvHead());
        float[] unread = new float[AttentionKernels.SUMS];
        for (int position = first; position < Math.min(end, tile.endPosition()); position++) {
            int token = position - tile.firstPosition();
            long visible = tile.visible(reading.list(), entry, position);
            for (int h = 0; h < group; h++) {
                int from = (token * group + h) * pageSize;
                Attend.hide(scratch.scores, from, 1, pageSize, visible);
                float logSum = logSums[tile.index(config, token * group + h)];
                kernels.expAndSum(scratch.scores, from, pageSize, logSum, unread, 0);
                for (int i = 0; i < pageSize; i++) {
                    attention[to + i] += scratch.scores[from + i];
                }
            }
        }
    }
}
