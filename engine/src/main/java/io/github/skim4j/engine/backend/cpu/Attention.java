package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.AttentionStats;
import io.github.skim4j.engine.attention.Dense;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.model.ModelConfig;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * The attention of a layer over the paged cache: stages build a token list for each tile of queries and KV head, then every list is
 * read with an online softmax (FlashAttention, arXiv 2205.14135, blocks of some pages). The list of a single token is cut into
 * parts of equal size that run side by side; their results are merged by their log-sum-exp, in order, whoever is last. How a list
 * is cut depends on the list alone.
 */
final class Attention {

    /** Most tokens in a part of a list. */
    private static final int SPLIT = 256;

    /** Tokens that are scored at a time. */
    private static final int BLOCK = 64;

    /** Query rows that share an unpacked block. */
    private static final int TILE_ROWS = 48;

    private final ModelConfig config;
    private final AttentionKernels kernels;
    private final KvPages pages;
    private final WorkerTeam team;
    private final Scratch[] scratch;
    private final List<TokenList> lists = new ArrayList<>();
    private final List<Part> parts = new ArrayList<>();

    Attention(ModelConfig config, AttentionKernels kernels, KvPages pages, WorkerTeam team) {
        this.config = config;
        this.kernels = kernels;
        this.pages = pages;
        this.team = team;
        scratch = new Scratch[team.threads()];
        int rows = even(Math.max(TILE_ROWS, config.group()));
        for (int i = 0; i < scratch.length; i++) {
            scratch[i] = new Scratch(rows, config.headDim());
        }
    }

    /**
     * Rotated queries of a step, [row][heads * headDim].
     *
     * @param closedUp for rows of sequences with evicted tokens the queries at their place inside the cache
     */
    record Queries(float[] positioned, float[] closedUp, int stride) {}

    /**
     * Attends all tokens of all spans, whose keys and values are in the pages already.
     *
     * @param output [row][heads * headDim]
     * @param stats one a span, added to unless the method is dense
     */
    void run(int layer, List<Span> spans, Queries queries, float[] output, AttentionStats[] stats) {
        parts.clear();
        int used = 0;
        int row = 0;
        for (int s = 0; s < spans.size(); s++) {
            Span span = spans.get(s);
            List<AttentionStage> stages = AttentionStage.of(span.attention());
            int tileTokens = span.count() == 1 ? 1 : Math.max(1, TILE_ROWS / config.group());
            int start = span.sequence().length();
            for (int t = 0; t < span.count(); t += tileTokens) {
                int tokens = Math.min(tileTokens, span.count() - t);
                for (int head = 0; head < config.kvHeads(); head++) {
                    QueryTile tile = new QueryTile(
                            span.sequence(), layer, head, row + t, start + t, tokens, config.window(layer));
                    TokenList list = list(used++);
                    list.clear();
                    stages.forEach(stage -> stage.apply(tile, list));
                    addParts(tile, list);
                    if (!(span.attention() instanceof Dense)) {
                        stats[s] = stats[s].plus(read(tile, list));
                    }
                }
            }
            row += span.count();
        }
        team.run(parts.size(), (worker, i) -> attend(parts.get(i), queries, output, scratch[worker]));
    }

    private TokenList list(int index) {
        if (index == lists.size()) {
            lists.add(new TokenList());
        }
        return lists.get(index);
    }

    private static AttentionStats read(QueryTile tile, TokenList list) {
        long attended = 0;
        long total = 0;
        for (int t = 0; t < tile.tokens(); t++) {
            int position = tile.firstPosition() + t;
            for (int e = 0; e < list.size(); e++) {
                attended += Math.max(0, visibleEnd(list, e, position) - visibleFrom(tile, list, e, position));
            }
            total += Math.min(position + 1, tile.window());
        }
        return AttentionStats.ofTokens(attended, total, 0);
    }

    /** First token of an entry's page that the query at {@code position} reads. */
    private static int visibleFrom(QueryTile tile, TokenList list, int entry, int position) {
        return Math.max(list.from(entry), tile.firstVisible(position, list.query(entry)) - list.slot(entry));
    }

    private static int visibleEnd(TokenList list, int entry, int position) {
        return Math.min(list.end(entry), position + 1 - list.slot(entry));
    }

    private void addParts(QueryTile tile, TokenList list) {
        if (tile.tokens() > 1 || list.tokens() <= SPLIT) {
            parts.add(new Part(tile, list, 0, list.size(), null, 0));
            return;
        }
        int count = 0;
        int first = parts.size();
        int from = 0;
        int tokens = 0;
        for (int e = 0; e < list.size(); e++) {
            int size = list.end(e) - list.from(e);
            if (tokens + size > SPLIT) {
                parts.add(new Part(tile, list, from, e, null, count++));
                from = e;
                tokens = 0;
            }
            tokens += size;
        }
        parts.add(new Part(tile, list, from, list.size(), null, count++));
        Partials partials = new Partials(count, config.group(), config.headDim());
        for (int i = first; i < parts.size(); i++) {
            Part part = parts.get(i);
            parts.set(i, new Part(tile, list, part.from, part.end, partials, part.index));
        }
    }

    /** Entries {@code from} to {@code end} of a list; {@code partials} is {@code null} if that is all of it. */
    private record Part(QueryTile tile, TokenList list, int from, int end, Partials partials, int index) {}

    /** Results of a list's parts until the last is there. */
    private static final class Partials {

        final AtomicInteger missing;
        final float[] sums;
        final float[] maxima;
        final float[] values;

        Partials(int parts, int rows, int headDim) {
            missing = new AtomicInteger(parts);
            sums = new float[parts * rows];
            maxima = new float[parts * rows];
            values = new float[parts * rows * headDim];
        }
    }

    /** A thread's memory. */
    private static final class Scratch {

        /** [row][headDim], by {@link TokenList#query}. */
        final float[][] queries;
        /** [row][BLOCK] */
        final float[] scores;
        /** [row][headDim] */
        final float[] result;

        final float[] maxima;
        final float[] sums;

        Scratch(int rows, int headDim) {
            queries = new float[2][rows * headDim];
            scores = new float[rows * BLOCK];
            result = new float[rows * headDim];
            maxima = new float[rows];
            sums = new float[rows];
        }
    }

    /** Kernels take rows in pairs; the last of an odd number computes what nobody reads. */
    private static int even(int rows) {
        return rows + 1 & -2;
    }

    private void attend(Part part, Queries queries, float[] output, Scratch scratch) {
        int rows = part.tile.tokens() * config.group();
        int headDim = config.headDim();
        gather(part.tile, queries.positioned, queries.stride, scratch.queries[TokenList.POSITIONED]);
        if (part.tile.sequence().gap() > 0) {
            gather(part.tile, queries.closedUp, queries.stride, scratch.queries[TokenList.CLOSED_UP]);
        }
        Arrays.fill(scratch.result, 0, rows * headDim, 0);
        Arrays.fill(scratch.maxima, 0, rows, Float.NEGATIVE_INFINITY);
        Arrays.fill(scratch.sums, 0, rows, 0);
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
        if (part.partials == null) {
            for (int r = 0; r < rows; r++) {
                write(part.tile, r, scratch.result, r * headDim, scratch.sums[r], output);
            }
            return;
        }
        Partials partials = part.partials;
        System.arraycopy(scratch.sums, 0, partials.sums, part.index * rows, rows);
        System.arraycopy(scratch.maxima, 0, partials.maxima, part.index * rows, rows);
        System.arraycopy(scratch.result, 0, partials.values, part.index * rows * headDim, rows * headDim);
        if (partials.missing.decrementAndGet() == 0) {
            merge(part.tile, partials, rows, output);
        }
    }

    /** Copies the tile's queries, row = token * group + head in the group, times 1/√headDim. */
    private void gather(QueryTile tile, float[] queries, int stride, float[] target) {
        float scale = (float) (1 / Math.sqrt(config.headDim()));
        int width = config.group() * config.headDim();
        for (int t = 0; t < tile.tokens(); t++) {
            int from = (tile.firstRow() + t) * stride + tile.kvHead() * width;
            for (int i = 0; i < width; i++) {
                target[t * width + i] = queries[from + i] * scale;
            }
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
            pages.score(
                    kernels,
                    list.page(e),
                    tile.layer(),
                    tile.kvHead(),
                    scratch.queries[list.query(from)],
                    even(rows),
                    scratch.scores,
                    (e - from) * pageSize,
                    BLOCK);
        }
        for (int r = 0; r < rows; r++) {
            int position = tile.firstPosition() + r / config.group();
            for (int e = from; e < end; e++) {
                int at = r * BLOCK + (e - from) * pageSize;
                int first = Math.min(pageSize, Math.max(0, visibleFrom(tile, list, e, position)));
                int last = Math.max(first, visibleEnd(list, e, position));
                Arrays.fill(scratch.scores, at, at + first, Float.NEGATIVE_INFINITY);
                Arrays.fill(scratch.scores, at + last, at + pageSize, Float.NEGATIVE_INFINITY);
                if (list.logWeight(e) != 0) {
                    for (int i = first; i < last; i++) {
                        scratch.scores[at + i] += list.logWeight(e);
                    }
                }
            }
            softmax(r, columns, headDim, scratch);
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
                    even(rows),
                    scratch.result);
        }
    }

    /** Turns a row of scores into weights relative to the greatest score so far, and what was summed before along with it. */
    private void softmax(int row, int columns, int headDim, Scratch scratch) {
        float before = scratch.maxima[row];
        float max = Math.max(before, kernels.max(scratch.scores, row * BLOCK, columns));
        if (max == Float.NEGATIVE_INFINITY) {
            Arrays.fill(scratch.scores, row * BLOCK, row * BLOCK + columns, 0);
            return;
        }
        if (max > before) {
            float factor = Exp.exp(before - max);
            scratch.sums[row] *= factor;
            kernels.scale(scratch.result, row * headDim, headDim, factor);
            scratch.maxima[row] = max;
        }
        scratch.sums[row] += kernels.expAndSum(scratch.scores, row * BLOCK, columns, max);
    }

    private void merge(QueryTile tile, Partials partials, int rows, float[] output) {
        int headDim = config.headDim();
        int count = partials.sums.length / rows;
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
        }
    }

    private void write(QueryTile tile, int row, float[] result, int from, float sum, float[] output) {
        int group = config.group();
        int headDim = config.headDim();
        int head = tile.kvHead() * group + row % group;
        int to = ((tile.firstRow() + row / group) * config.heads() + head) * headDim;
        float inverse = 1 / sum;
        for (int i = 0; i < headDim; i++) {
            output[to + i] = result[from + i] * inverse;
        }
    }
}
