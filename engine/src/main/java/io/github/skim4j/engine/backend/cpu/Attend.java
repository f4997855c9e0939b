package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.model.ModelConfig;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Reads token lists with an online softmax (FlashAttention, arXiv 2205.14135, blocks of some pages); a log weight is added to a token's
 * score. The list of a single token is cut into parts of equal size that run side by side; their results are merged by their
 * log-sum-exp, in order, whoever is last. How a list is cut depends on the list alone.
 */
final class Attend {

    /** Query rows that share an unpacked block. */
    static final int TILE_ROWS = 48;

    /** Tokens that queries score at a time, and at most in a part of a list. */
    private static final int BLOCK = 256;

    private final ModelConfig config;
    private final AttentionKernels kernels;
    private final KvPages pages;
    private final WorkerTeam team;
    private final Scratch[] scratch;
    private final List<Part> parts = new ArrayList<>();
    /** Kept for the next run, so that they stay in the caches; the first {@link #usedPartials} are in use. */
    private final List<Partials> partials = new ArrayList<>();

    private int usedPartials;

    Attend(ModelConfig config, AttentionKernels kernels, KvPages pages, WorkerTeam team) {
        this.config = config;
        this.kernels = kernels;
        this.pages = pages;
        this.team = team;
        scratch = new Scratch[team.threads()];
        int rows = even(Math.max(TILE_ROWS, config.group()));
        for (int i = 0; i < scratch.length; i++) {
            scratch[i] = scratch(rows);
        }
    }

    private Scratch scratch(int rows) {
        return new Scratch(rows, rows * BLOCK, config.headDim());
    }

    /** Adds what a tile's queries read to the next run. */
    void add(QueryTile tile, TokenList list) {
        int perPart = BLOCK / pages.pageSize();
        if (tile.tokens() > 1 || list.size() <= perPart) {
            parts.add(new Part(tile, list, 0, list.size(), null, 0));
            return;
        }
        int count = (list.size() + perPart - 1) / perPart;
        Partials merged = nextPartials(count);
        for (int i = 0; i < count; i++) {
            int end = Math.min(list.size(), (i + 1) * perPart);
            parts.add(new Part(tile, list, i * perPart, end, merged, i));
        }
    }

    private Partials nextPartials(int count) {
        if (usedPartials == partials.size()) {
            partials.add(new Partials());
        }
        Partials next = partials.get(usedPartials++);
        next.begin(count, config.group(), config.headDim());
        return next;
    }

    /**
     * @param output [row][heads * headDim]
     * @param logSums for ln Σ exp(score), [row][heads]; may be {@code null}
     */
    void run(Queries queries, float[] output, float[] logSums) {
        team.run(parts.size(), (worker, i) -> attend(parts.get(i), queries, output, logSums, scratch[worker]));
        parts.clear();
        usedPartials = 0;
    }

    /**
     * What attention makes of a list before it is normalised: for each row the greatest score, Σ exp(score - greatest), and the sum of the
     * values so weighted, [rows][headDim].
     */
    record Result(float[] maxima, float[] sums, float[] values) {

        /** Σ of a row's exponentials relative to those of another list for the same queries. */
        double share(Result whole, int row) {
            return sums[row] * Math.exp(maxima[row] - whole.maxima[row]) / whole.sums[row];
        }
    }

    /**
     * Reads a whole list in the caller's thread.
     *
     * @param queries [rows][headDim] as {@link Queries#gather} leaves them, for an even number of rows
     */
    Result whole(QueryTile tile, TokenList list, float[] queries) {
        Scratch own = scratch(even(config.group()));
        System.arraycopy(queries, 0, own.queries[TokenList.POSITIONED], 0, own.queries[0].length);
        attend(new Part(tile, list, 0, list.size(), null, 0), config.group(), own);
        return new Result(own.maxima, own.sums, own.result);
    }

    /** Entries {@code from} to {@code end} of a list; {@code partials} is {@code null} if that is all of it. */
    private record Part(QueryTile tile, TokenList list, int from, int end, Partials partials, int index) {}

    /** Results of a list's parts until the last is there. */
    private static final class Partials {

        final AtomicInteger missing = new AtomicInteger();
        int parts;
        float[] sums = {};
        float[] maxima = {};
        float[] values = {};

        void begin(int parts, int rows, int headDim) {
            this.parts = parts;
            missing.set(parts);
            if (sums.length < parts * rows) {
                sums = new float[parts * rows];
                maxima = new float[parts * rows];
                values = new float[parts * rows * headDim];
            }
        }
    }

    /** A thread's memory. */
    private static final class Scratch {

        /** [row][headDim], by {@link TokenList#query}. */
        final float[][] queries;
        /** [row][block] */
        final float[] scores;
        /** [row][headDim] */
        final float[] result;

        final float[] maxima;
        final float[] sums;
        /** Parts of {@link #sums}: [row][{@link AttentionKernels#SUMS}] */
        final float[] summands;

        final Prefetcher prefetcher = new Prefetcher();

        Scratch(int rows, int scores, int headDim) {
            queries = new float[2][rows * headDim];
            this.scores = new float[scores];
            result = new float[rows * headDim];
            maxima = new float[rows];
            sums = new float[rows];
            summands = new float[rows * AttentionKernels.SUMS];
        }
    }

    /** Rows that there must be room for: kernels may compute one more than an odd number, which nobody reads. */
    static int even(int rows) {
        return rows + 1 & -2;
    }

    private void attend(Part part, Queries queries, float[] output, float[] logSums, Scratch scratch) {
        int rows = part.tile.tokens() * config.group();
        int headDim = config.headDim();
        queries.gather(config, part.tile, TokenList.POSITIONED, scratch.queries[TokenList.POSITIONED]);
        if (part.tile.sequence().gap() > 0) {
            queries.gather(config, part.tile, TokenList.CLOSED_UP, scratch.queries[TokenList.CLOSED_UP]);
        }
        attend(part, rows, scratch);
        if (part.partials == null) {
            for (int r = 0; r < rows; r++) {
                write(part.tile, r, scratch.result, r * headDim, scratch.sums[r], output);
                writeLogSum(part.tile, r, scratch.maxima[r], scratch.sums[r], logSums);
            }
            return;
        }
        Partials partials = part.partials;
        System.arraycopy(scratch.sums, 0, partials.sums, part.index * rows, rows);
        System.arraycopy(scratch.maxima, 0, partials.maxima, part.index * rows, rows);
        System.arraycopy(scratch.result, 0, partials.values, part.index * rows * headDim, rows * headDim);
        if (partials.missing.decrementAndGet() == 0) {
            merge(part.tile, partials, rows, output, logSums);
        }
    }

    /** Leaves a part's sums in the thread's memory. */
    private void attend(Part part, int rows, Scratch scratch) {
        int headDim = config.headDim();
        Arrays.fill(scratch.result, 0, rows * headDim, 0);
        Arrays.fill(scratch.maxima, 0, rows, Float.NEGATIVE_INFINITY);
        Arrays.fill(scratch.summands, 0, rows * AttentionKernels.SUMS, 0);
        int perBlock = BLOCK / pages.pageSize();
        int from = part.from;
        while (from < part.end) {
            int end = from + 1;
            while (end < part.end && end - from < perBlock && part.list.query(end) == part.list.query(from)) {
                end++;
            }
            attendBlock(part, from, end, rows, scratch);
            from = end;
        }
        for (int r = 0; r < rows; r++) {
            float sum = 0;
            for (int i = r * AttentionKernels.SUMS; i < (r + 1) * AttentionKernels.SUMS; i++) {
                sum += scratch.summands[i];
            }
            scratch.sums[r] = sum;
        }
    }

    /** Entries {@code from} to {@code end}, all for the same query: scores, online softmax, weighted values. */
    private void attendBlock(Part part, int from, int end, int rows, Scratch scratch) {
        QueryTile tile = part.tile;
        TokenList list = part.list;
        int headDim = config.headDim();
        int pageSize = pages.pageSize();
        int columns = (end - from) * pageSize;
        for (int e = from; e < end; e++) {
            pages.prefetch(scratch.prefetcher, list.page(e), tile.layer(), tile.kvHead());
        }
        for (int e = from; e < end; e++) {
            pages.score(
                    kernels,
                    list.page(e),
                    tile.layer(),
                    tile.kvHead(),
                    scratch.queries[list.query(from)],
                    rows,
                    scratch.scores,
                    (e - from) * pageSize,
                    BLOCK);
        }
        for (int e = from; e < end; e++) {
            hideAndWeigh(tile, list, e, rows, scratch.scores, (e - from) * pageSize);
        }
        for (int r = 0; r < rows; r++) {
            softmax(r, r * BLOCK, columns, scratch);
        }
        for (int e = from; e < end; e++) {
            pages.addWeighted(
                    kernels,
                    list.page(e),
                    tile.layer(),
                    tile.kvHead(),
                    scratch.scores,
                    (e - from) * pageSize,
                    BLOCK,
                    rows,
                    scratch.result);
        }
    }

    /** Hides an entry's tokens from the rows that don't see them, and adds its log weight to the others' scores. */
    private void hideAndWeigh(QueryTile tile, TokenList list, int entry, int rows, float[] scores, int column) {
        int pageSize = pages.pageSize();
        float logWeight = list.logWeight(entry);
        // What the first and the last query see whole, those between them do.
        boolean whole = tile.seesWhole(list, entry, tile.firstPosition())
                && tile.seesWhole(list, entry, tile.endPosition() - 1);
        if (whole && logWeight == 0) {
            return;
        }
        for (int r = 0; r < rows; r++) {
            int at = r * BLOCK + column;
            hide(scores, at, 1, pageSize, tile.visible(list, entry, tile.firstPosition() + r / config.group()));
            if (logWeight != 0) {
                for (int i = at; i < at + pageSize; i++) {
                    scores[i] += logWeight;
                }
            }
        }
    }

    /** Gives the tokens of a page that a mask leaves out the score -∞; tokens' scores are {@code apart} from each other. */
    static void hide(float[] scores, int at, int apart, int pageSize, long visible) {
        if (visible == TokenList.range(0, pageSize)) {
            return;
        }
        for (int i = 0; i < pageSize; i++) {
            if ((visible >>> i & 1) == 0) {
                scores[at + i * apart] = Float.NEGATIVE_INFINITY;
            }
        }
    }

    /** Turns a row of scores into weights relative to the greatest score so far, and what was summed before along with it. */
    private void softmax(int row, int from, int columns, Scratch scratch) {
        float before = scratch.maxima[row];
        float max = Math.max(before, kernels.max(scratch.scores, from, columns));
        if (max == Float.NEGATIVE_INFINITY) {
            Arrays.fill(scratch.scores, from, from + columns, 0);
            return;
        }
        if (max > before) {
            float factor = Exp.exp(before - max);
            kernels.scale(scratch.summands, row * AttentionKernels.SUMS, AttentionKernels.SUMS, factor);
            kernels.scale(scratch.result, row * config.headDim(), config.headDim(), factor);
            scratch.maxima[row] = max;
        }
        kernels.expAndSum(scratch.scores, from, columns, max, scratch.summands, row * AttentionKernels.SUMS);
    }

    private void merge(QueryTile tile, Partials partials, int rows, float[] output, float[] logSums) {
        int headDim = config.headDim();
        int count = partials.parts;
        float[] result = new float[headDim];
        for (int r = 0; r < rows; r++) {
            float max = Float.NEGATIVE_INFINITY;
            for (int p = 0; p < count; p++) {
                max = Math.max(max, partials.maxima[p * rows + r]);
            }
            Arrays.fill(result, 0);
            float sum = 0;
            for (int p = 0; p < count; p++) {
                float factor = Exp.exp(partials.maxima[p * rows + r] - max);
                sum += factor * partials.sums[p * rows + r];
                int at = (p * rows + r) * headDim;
                for (int i = 0; i < headDim; i++) {
                    result[i] += factor * partials.values[at + i];
                }
            }
            write(tile, r, result, 0, sum, output);
            writeLogSum(tile, r, max, sum, logSums);
        }
    }

    private void write(QueryTile tile, int row, float[] result, int from, float sum, float[] output) {
        int headDim = config.headDim();
        int to = tile.index(config, row) * headDim;
        float inverse = 1 / sum;
        for (int i = 0; i < headDim; i++) {
            output[to + i] = result[from + i] * inverse;
        }
    }

    private void writeLogSum(QueryTile tile, int row, float max, float sum, float[] logSums) {
        if (logSums != null) {
            logSums[tile.index(config, row)] = max + (float) Math.log(sum);
        }
    }
}
