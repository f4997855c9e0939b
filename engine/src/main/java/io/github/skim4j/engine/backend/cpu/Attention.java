package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.AttentionStats;
import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.attention.Dense;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.backend.cpu.Pipelines.Pipeline;
import io.github.skim4j.engine.kv.KvSequence;
import io.github.skim4j.engine.model.LabelChannels;
import io.github.skim4j.engine.model.ModelConfig;
import java.util.ArrayList;
import java.util.List;

/**
 * The attention of a layer over the paged cache. What a query group reads of a KV head is a list, and there is one {@link Attend} for all
 * lists. Dense attention reads what the sequence has, in tiles of several tokens; a selecting method makes a list of its own for each
 * token, in stages that run over all tokens and heads of a step side by side.
 */
final class Attention {

    private final ModelConfig config;
    private final KvPages pages;
    private final WorkerTeam team;
    private final Attend attend;
    private final Pipelines pipelines;
    private final LastSelections lastSelections;
    private final RecallProbe probe;
    private final TokenRecords records;
    private final AttentionObserver observer;
    private final Selection.Scratch[] scratch;
    private final float[][] fillScratch;

    private final List<Retained> lists = new ArrayList<>();
    private final List<Selection> selections = new ArrayList<>();
    private final List<Reading> readings = new ArrayList<>();
    private int usedLists;
    private int usedSelections;
    /** The layer that was run before, in the same step if it is the one before. */
    private int lastLayer = -1;

    private float[] logSums = {};

    Attention(
            ModelConfig config,
            CpuKernels kernels,
            KvPages pages,
            TokenRecords records,
            WorkerTeam team,
            LabelChannels labelChannels,
            double recallProbe) {
        this.config = config;
        this.pages = pages;
        this.team = team;
        attend = new Attend(config, kernels.attention(), pages, team);
        pipelines = new Pipelines(config, kernels, pages, attend, labelChannels);
        lastSelections = new LastSelections(config);
        probe = new RecallProbe(config, attend, recallProbe);
        this.records = records;
        observer = new AttentionObserver(config, kernels.attention(), pages, records, team);
        scratch = new Selection.Scratch[team.threads()];
        fillScratch = new float[team.threads()][pages.pageSize() * config.headDim()];
        for (int i = 0; i < scratch.length; i++) {
            scratch[i] = new Selection.Scratch();
        }
    }

    /**
     * What a tile of a span reads.
     *
     * @param retained all that it sees
     * @param selection what it reads of that, or {@code null} for all
     */
    record Reading(int span, QueryTile tile, TokenList retained, Selection selection) {

        TokenList list() {
            return selection == null ? retained : selection.list();
        }
    }

    /** Forgets what is known of a page, which comes to another sequence. */
    void clear(int page) {
        pipelines.clear(page);
    }

    /**
     * Attends all tokens of all spans, whose keys and values are in the pages already.
     *
     * @param output [row][heads * headDim]
     * @param stats one a span, added to where the span's method is not dense
     */
    void run(int layer, List<Span> spans, Queries queries, float[] output, AttentionStats[] stats) {
        long start = System.nanoTime();
        if (layer == 0 || layer != lastLayer + 1) {
            lists.forEach(retained -> retained.tile = null);
        }
        lastLayer = -1;
        readings.clear();
        usedLists = 0;
        usedSelections = 0;
        int row = 0;
        for (int s = 0; s < spans.size(); s++) {
            addReadings(layer, s, spans.get(s), row, queries);
            row += spans.get(s).count();
        }
        select();
        long selected = System.nanoTime();
        readings.forEach(reading -> attend.add(reading.tile, reading.list()));
        boolean observes = spans.stream().anyMatch(AttentionObserver::observes);
        logSums = !observes || logSums.length >= row * config.heads() ? logSums : new float[row * config.heads()];
        attend.run(queries, output, observes ? logSums : null);
        long attended = System.nanoTime();
        observe(spans, queries);
        long observed = System.nanoTime();
        for (Reading reading : readings) {
            Span span = spans.get(reading.span);
            if (counts(span.attention(), layer)) {
                stats[reading.span] = stats[reading.span].plus(read(reading, span));
                if (reading.selection != null && probe.picks(span, reading.tile)) {
                    stats[reading.span] = stats[reading.span].plus(probe.compare(reading.selection, output));
                }
            }
        }
        addTime(spans, selected - start + observed - attended, System.nanoTime() - start, stats);
        lastLayer = layer;
    }

    /** What the tiles of the last run read: those of a span by token, then KV head. */
    List<TokenList> lists() {
        return readings.stream().map(Reading::list).toList();
    }

    private static boolean counts(AttentionMethod method, int layer) {
        return !(method instanceof Dense) && layer >= method.denseLayers();
    }

    private void addReadings(int layer, int index, Span span, int row, Queries queries) {
        KvSequence sequence = span.sequence();
        Pipeline pipeline = counts(span.attention(), layer) ? pipelines.of(span.attention()) : null;
        LastSelections.OfSequence last = lastSelections.of(span);
        if (pipeline != null) {
            fill(pipeline.data(), span, layer);
        }
        boolean single = pipeline != null || span.count() == 1 || sequence.isPacked();
        int tileTokens = single ? 1 : Math.max(1, Attend.TILE_ROWS / config.group());
        for (int t = 0; t < span.count(); t += tileTokens) {
            int tokens = Math.min(tileTokens, span.count() - t);
            TokenList retained = null;
            for (int head = 0; head < config.kvHeads(); head++) {
                QueryTile tile = new QueryTile(
                        sequence, layer, head, row + t, sequence.length() + t, tokens, config.window(layer));
                retained = retained == null || sequence.isPacked() ? retained(tile) : retained;
                Selection selection = null;
                if (pipeline != null) {
                    selection = nextSelection();
                    LastSelections.Kept kept = last == null ? null : last.kept(tile.firstPosition(), layer, head);
                    selection.start(tile, retained, pipeline, kept, config);
                    queries.gather(config, tile, TokenList.POSITIONED, selection.queries());
                }
                readings.add(new Reading(index, tile, retained, selection));
            }
        }
    }

    /** A list and the tile that it was made for in this step, if it was. */
    private static final class Retained {
        final TokenList list = new TokenList();
        QueryTile tile;
    }

    /** All that a tile sees: the same for all heads and layers of a step, unless they keep tokens of their own or differ in their window. */
    private TokenList retained(QueryTile tile) {
        if (usedLists == lists.size()) {
            lists.add(new Retained());
        }
        Retained retained = lists.get(usedLists++);
        TokenList list = retained.list;
        boolean isMade = retained.tile != null && tile.seesTheSame(retained.tile);
        retained.tile = tile;
        if (isMade) {
            return list;
        }
        list.clear();
        if (tile.sequence().isPacked()) {
            records.addRetained(tile, list);
        } else {
            tile.addRetained(list);
        }
        return list;
    }

    private Selection nextSelection() {
        if (usedSelections == selections.size()) {
            selections.add(new Selection());
        }
        return selections.get(usedSelections++);
    }

    /** Makes the page data that the span's tokens need and the sequence lacks. */
    private void fill(List<PageData> all, Span span, int layer) {
        KvSequence sequence = span.sequence();
        int full = (sequence.length() + span.count() - 1) / pages.pageSize();
        for (PageData data : all) {
            if (full * pages.pageSize() < data.minTokens()) {
                continue;
            }
            int first = full;
            while (first > 0 && !data.has(sequence.page(first - 1), layer)) {
                first--;
            }
            if (first < full) {
                data.begin(pages, sequence, layer, first, full);
            }
            int from = first;
            team.run(full - first, (worker, i) -> {
                int page = sequence.page(from + i);
                data.fill(new PageData.Fill(pages, layer, fillScratch[worker]), page);
            });
        }
    }

    private void select() {
        List<Selection.Part> parts = new ArrayList<>();
        do {
            parts.clear();
            for (int i = 0; i < usedSelections; i++) {
                selections.get(i).addParts(parts);
            }
            team.run(parts.size(), (worker, i) -> parts.get(i).run(scratch[worker]));
        } while (!parts.isEmpty());
    }

    private void observe(List<Span> spans, Queries queries) {
        for (int s = 0; s < spans.size(); s++) {
            if (AttentionObserver.observes(spans.get(s))) {
                for (int head = 0; head < config.kvHeads(); head++) {
                    int span = s;
                    int kvHead = head;
                    observer.add(
                            spans.get(s),
                            readings.stream()
                                    .filter(r -> r.span == span && r.tile.kvHead() == kvHead)
                                    .toList());
                }
            }
        }
        observer.run(queries, logSums);
    }

    private AttentionStats read(Reading reading, Span span) {
        QueryTile tile = reading.tile;
        TokenList list = reading.list();
        long attended = 0;
        long total = 0;
        long pagesRead = 0;
        for (int t = 0; t < tile.tokens(); t++) {
            int position = tile.firstPosition() + t;
            int last = -1;
            for (int e = 0; e < list.size(); e++) {
                int tokens = Long.bitCount(tile.visible(list, e, position));
                attended += tokens;
                pagesRead += tokens > 0 && list.page(e) != last ? 1 : 0;
                last = list.page(e);
            }
            total += Math.min(position + 1, tile.window());
        }
        long selectionBytes = reading.selection != null
                ? reading.selection.bytes()
                : AttentionObserver.observes(span) ? attended * pages.tokenBytes() / 2 : 0;
        return new AttentionStats(
                attended,
                total,
                0,
                pagesRead,
                attended * pages.tokenBytes() + selectionBytes,
                total * pages.tokenBytes(),
                AttentionStats.Time.NONE,
                AttentionStats.Probe.NONE);
    }

    private static void addTime(List<Span> spans, long selection, long total, AttentionStats[] stats) {
        int sparse = 0;
        for (Span span : spans) {
            sparse += span.attention() instanceof Dense ? 0 : 1;
        }
        for (int s = 0; s < spans.size(); s++) {
            if (!(spans.get(s).attention() instanceof Dense)) {
                AttentionStats.Time time = new AttentionStats.Time(selection / sparse, total / sparse);
                stats[s] = stats[s].plus(AttentionStats.ofTime(time));
            }
        }
    }
}
