package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.AttentionStats;
import io.github.skim4j.engine.attention.Always;
import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.attention.Dense;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.kv.KvCacheConfig.KvType;
import io.github.skim4j.engine.kv.KvSequence;
import io.github.skim4j.engine.kv.PagePool;
import io.github.skim4j.engine.kv.PrefixCache;
import io.github.skim4j.engine.model.Architecture;
import io.github.skim4j.engine.model.LabelChannels;
import io.github.skim4j.engine.model.ModelConfig;
import io.github.skim4j.engine.model.Rope;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * One sequence in pages of random order, with keys and values of a test's choice, and queries of its last tokens; attention runs on it
 * as often as a test likes. Naive double-precision computations of the same.
 */
final class SparseFixture implements AutoCloseable {

    /** A random shape and what is needed to build a fixture of it. */
    record Shape(int headDim, int kvHeads, int group, int layers, int window, int pageSize, KvType type) {

        static Shape random(Random random) {
            return new Shape(
                    RandomModels.pick(random, List.of(16, 32, 64, 80, 96, 128)),
                    1 + random.nextInt(3),
                    1 + random.nextInt(8),
                    1 + random.nextInt(2),
                    0,
                    RandomModels.pick(random, List.of(8, 16, 32, 64)),
                    RandomModels.pick(random, List.of(KvType.BF16, KvType.F32)));
        }

        Shape withWindow(int window) {
            return new Shape(headDim, kvHeads, group, layers, window, pageSize, type);
        }

        ModelConfig config() {
            return new ModelConfig(
                    Architecture.LLAMA,
                    10,
                    32,
                    32,
                    layers,
                    kvHeads * group,
                    kvHeads,
                    headDim,
                    1 << 20,
                    1e-5f,
                    new Rope(10_000, new Rope.None(), false),
                    window,
                    0,
                    false,
                    true);
        }
    }

    /** What one token's query group read of one KV head: log weights by slot. */
    record Read(SortedMap<Integer, Float> tokens, List<Integer> pages) {

        boolean whole(int from, int end) {
            for (int slot = from; slot < end; slot++) {
                if (!tokens.containsKey(slot)) {
                    return false;
                }
            }
            return true;
        }
    }

    final Shape shape;
    final ModelConfig config;
    final CpuKernels kernels;
    final KvPages pages;
    final PagePool pool;
    final KvSequence sequence;
    final WorkerTeam team;
    final LabelChannels labelChannels;
    final Attention attention;
    /** [token][heads * headDim] of the sequence's last tokens. */
    final float[] queries;

    final int tokens;
    final int steps;
    /** First slots that another fixture's sequence filled. */
    private final int shared;

    float[] output;
    AttentionStats stats;

    /**
     * @param tokens in the sequence
     * @param steps last tokens that have queries
     */
    SparseFixture(Shape shape, CpuKernels kernels, int tokens, int steps, double probe, Random random) {
        this(shape, kernels, tokens, steps, probe, random, 1);
    }

    /** @param sequences that there is room for: this one and those of {@link #branch} */
    SparseFixture(Shape shape, CpuKernels kernels, int tokens, int steps, double probe, Random random, int sequences) {
        this.shape = shape;
        this.kernels = kernels;
        this.tokens = tokens;
        this.steps = steps;
        config = shape.config();
        shared = 0;
        int pageCount = sequences * (tokens / shape.pageSize() + 3);
        pages = new KvPages(config, shape.pageSize(), shape.type(), pageCount);
        pool = new PagePool(pageCount);
        shuffle(random);
        sequence = new KvSequence(pool, shape.pageSize());
        reserve();
        team = new WorkerTeam(1 + random.nextInt(2), "test");
        TokenRecords records = new TokenRecords(config, shape.pageSize(), pageCount);
        labelChannels = RandomModels.labelChannels(config, new Random(tokens));
        attention = new Attention(config, kernels, pages, records, team, labelChannels, probe);
        queries = new float[steps * config.heads() * config.headDim()];
    }

    private SparseFixture(SparseFixture trunk, int shared) {
        shape = trunk.shape;
        config = trunk.config;
        kernels = trunk.kernels;
        pages = trunk.pages;
        pool = trunk.pool;
        team = trunk.team;
        labelChannels = trunk.labelChannels;
        attention = trunk.attention;
        tokens = trunk.tokens;
        steps = trunk.steps;
        queries = new float[trunk.queries.length];
        this.shared = shared;
        int[] prompt = new int[shared];
        PrefixCache cache = new PrefixCache(pool, shape.pageSize());
        cache.put(trunk.sequence, prompt, shared);
        sequence = new KvSequence(pool, shape.pageSize());
        cache.take(sequence, prompt, shared);
        reserve();
    }

    /** A sequence of as many tokens in the same pages, of which the first {@code shared} are this one's; not to be closed. */
    SparseFixture branch(int shared) {
        return new SparseFixture(this, shared);
    }

    private void reserve() {
        sequence.reserve(tokens - shared);
        for (int p = shared / shape.pageSize(); p * shape.pageSize() < tokens; p++) {
            pages.clear(sequence.page(p));
        }
    }

    /** Has the pool hand out its pages in a random order. */
    private void shuffle(Random random) {
        List<KvSequence> all = new ArrayList<>();
        while (pool.free() > 0) {
            KvSequence one = new KvSequence(pool, shape.pageSize());
            one.reserve(1);
            all.add(one);
        }
        Collections.shuffle(all, random);
        all.forEach(KvSequence::close);
    }

    /**
     * Gaussian queries and values, and keys that lean by channel, as real ones do.
     *
     * @param peaks how much some keys are like a query, in standard deviations of logits
     */
    SparseFixture fill(Random random, double peaks) {
        int headDim = config.headDim();
        for (int i = 0; i < queries.length; i++) {
            queries[i] = (float) random.nextGaussian();
        }
        float[] lean = new float[headDim];
        for (int i = 0; i < headDim; i++) {
            lean[i] = (float) random.nextGaussian();
        }
        float[] key = new float[headDim];
        float[] value = new float[headDim];
        for (int layer = 0; layer < config.layers(); layer++) {
            for (int head = 0; head < config.kvHeads(); head++) {
                for (int slot = shared; slot < tokens; slot++) {
                    int query = random.nextInt(steps) * config.heads() + head * config.group();
                    query = (query + random.nextInt(config.group())) * headDim;
                    double likeness = random.nextInt(50) == 0 ? peaks * random.nextDouble() / Math.sqrt(headDim) : 0;
                    for (int i = 0; i < headDim; i++) {
                        key[i] = (float) (random.nextGaussian() + lean[i] + likeness * queries[query + i]);
                        value[i] = (float) random.nextGaussian();
                    }
                    write(layer, head, slot, key, value);
                }
            }
        }
        return this;
    }

    void write(int layer, int kvHead, int slot, float[] key, float[] value) {
        int pageSize = shape.pageSize();
        pages.write(sequence.page(slot / pageSize), layer, kvHead, slot % pageSize, key, 0, value, 0);
    }

    /** Runs the last {@code count} tokens in one span and says what each token and KV head read. */
    List<Read> run(int layer, AttentionMethod method, int count) {
        return run(layer, method, steps - count, count);
    }

    /** Runs {@code count} tokens in one span, from step {@code from} on. */
    List<Read> run(int layer, AttentionMethod method, int from, int count) {
        List<TokenList> lists = attend(layer, method, from, count);
        List<Read> reads = new ArrayList<>();
        for (int i = 0; i < lists.size() && !(method instanceof Dense); i++) {
            int position = tokens - steps + from + i / config.kvHeads();
            reads.add(read(lists.get(i), layer, position));
        }
        return reads;
    }

    /** As {@link #run}, with the lists as they are: they change with the next run. */
    List<TokenList> attend(int layer, AttentionMethod method, int from, int count) {
        KvSequence at = at(tokens - steps + from);
        int width = config.heads() * config.headDim();
        float[] own = Arrays.copyOfRange(queries, from * width, (from + count) * width);
        Span span = new Span(at, new int[count], 0, count, method, Span.Logits.NONE);
        AttentionStats[] all = {AttentionStats.NONE};
        output = new float[count * width];
        attention.run(layer, List.of(span), new Queries(own, null, width), output, all);
        stats = all[0];
        return attention.lists();
    }

    /** The sequence when it had {@code length} tokens. */
    private KvSequence at(int length) {
        if (sequence.length() > length) {
            throw new IllegalStateException("the sequence is longer already");
        }
        sequence.advance(length - sequence.length());
        return sequence;
    }

    private Read read(TokenList list, int layer, int position) {
        QueryTile tile = new QueryTile(sequence, layer, 0, 0, position, 1, config.window(layer));
        SortedMap<Integer, Float> read = new TreeMap<>();
        List<Integer> pageIndices = new ArrayList<>();
        for (int e = 0; e < list.size(); e++) {
            int slot = list.slot(e);
            pageIndices.add(slot / shape.pageSize());
            if (list.page(e) != sequence.page(slot / shape.pageSize())) {
                throw new AssertionError("an entry's slot and page differ");
            }
            long mask = tile.visible(list, e, position);
            if (mask != list.mask(e)) {
                throw new AssertionError("an entry has tokens that the query doesn't see");
            }
            for (int t = 0; t < shape.pageSize(); t++) {
                if ((mask >>> t & 1) != 0 && read.put(slot + t, list.logWeight(e)) != null) {
                    throw new AssertionError("token " + (slot + t) + " is on the list twice");
                }
            }
        }
        return new Read(read, pageIndices);
    }

    /** A key as it is stored. */
    float[] key(int layer, int kvHead, int slot) {
        float[] key = new float[config.headDim()];
        pages.key(sequence.page(slot / shape.pageSize()), layer, kvHead, slot % shape.pageSize(), key, 0);
        return key;
    }

    float[] value(int layer, int kvHead, int slot) {
        float[] value = new float[config.headDim()];
        pages.value(sequence.page(slot / shape.pageSize()), layer, kvHead, slot % shape.pageSize(), value, 0);
        return value;
    }

    /** A query head of a step as scores take it, times 1/√headDim. */
    float[] query(int step, int head) {
        float scale = (float) (1 / Math.sqrt(config.headDim()));
        float[] query = new float[config.headDim()];
        for (int i = 0; i < query.length; i++) {
            query[i] = queries[(step * config.heads() + head) * query.length + i] * scale;
        }
        return query;
    }

    /** Makes the data of all pages that are full before the last step. */
    <T extends PageData> T filled(T data, int layer) {
        return filled(data, layer, 0);
    }

    /** The same for all pages but the {@code first} ones, which another sequence made them for. */
    <T extends PageData> T filled(T data, int layer, int first) {
        data.begin(pages, sequence, layer, first, (tokens - 1) / shape.pageSize());
        float[] scratch = new float[shape.pageSize() * config.headDim()];
        for (int p = first; (p + 1) * shape.pageSize() < tokens; p++) {
            data.fill(new PageData.Fill(pages, layer, scratch), sequence.page(p));
        }
        return data;
    }

    /** A scorer's logits of a KV head for the last token, [query head of the group][slot], of the pages that are full. */
    float[][] estimates(TokenScorer scorer, int layer, int kvHead) {
        Selection selection = prepared(scorer, layer, kvHead);
        int full = pagesAt(steps - 1) - 1;
        int width = full * shape.pageSize();
        float[] logits = new float[Attend.even(config.group()) * width];
        scorer.logits(selection, 0, full, logits, width, new Selection.Scratch());
        float[][] rows = new float[config.group()][];
        for (int r = 0; r < rows.length; r++) {
            rows[r] = Arrays.copyOfRange(logits, r * width, (r + 1) * width);
        }
        return rows;
    }

    /** The same of sketches. */
    float[][] estimates(SketchScorer scorer, int layer, int kvHead) {
        Selection selection = prepared(scorer, layer, kvHead);
        Selection.Scratch scratch = new Selection.Scratch();
        int full = pagesAt(steps - 1) - 1;
        float[][] rows = new float[config.group()][full * shape.pageSize()];
        for (int from = 0; from < full; from += PageScorer.MOST_PAGES) {
            int end = Math.min(full, from + PageScorer.MOST_PAGES);
            SketchScorer.Panel panel = scorer.panel(selection, from, end, scratch);
            for (int r = 0; r < rows.length; r++) {
                float[] logits = scorer.logits(selection, from, end, r, panel, scratch);
                for (int slot = from * shape.pageSize(); slot < end * shape.pageSize(); slot++) {
                    int token = slot % shape.pageSize();
                    rows[r][slot] = logits[token * PageScorer.MOST_PAGES + slot / shape.pageSize() - from];
                }
            }
        }
        return rows;
    }

    Selection prepared(PageScorer scorer, int layer, int kvHead) {
        Selection selection = new Selection();
        QueryTile tile = new QueryTile(sequence, layer, kvHead, 0, tokens - 1, 1, config.window(layer));
        TokenList retained = new TokenList();
        tile.addRetained(retained);
        selection.start(tile, retained, new Pipelines.Pipeline(Always.DEFAULT, List.of(), List.of(), 0), null, config);
        System.arraycopy(group(steps - 1, kvHead), 0, selection.queries(), 0, config.group() * config.headDim());
        scorer.prepare(selection);
        return selection;
    }

    /** A KV head's queries of a step, [group, rounded up to even][headDim]. */
    float[] group(int step, int kvHead) {
        float[] group = new float[Attend.even(config.group()) * config.headDim()];
        for (int r = 0; r < config.group(); r++) {
            System.arraycopy(
                    query(step, kvHead * config.group() + r), 0, group, r * config.headDim(), config.headDim());
        }
        return group;
    }

    /** Pages that the query of a step sees, the one being filled included. */
    int pagesAt(int step) {
        return (tokens - steps + step) / shape.pageSize() + 1;
    }

    static double dot(float[] a, float[] b) {
        double sum = 0;
        for (int i = 0; i < a.length; i++) {
            sum += (double) a[i] * b[i];
        }
        return sum;
    }

    /** Logits of a query head over slots 0 … position. */
    double[] logits(int layer, int step, int head) {
        double[] logits = new double[tokens - steps + step + 1];
        float[] query = query(step, head);
        for (int slot = 0; slot < logits.length; slot++) {
            logits[slot] = dot(query, key(layer, head / config.group(), slot));
        }
        return logits;
    }

    /** exp(logit - max) over their sum. */
    static double[] softmax(double[] logits) {
        double max = Arrays.stream(logits).max().orElseThrow();
        double sum = 0;
        double[] shares = new double[logits.length];
        for (int i = 0; i < logits.length; i++) {
            shares[i] = Math.exp(logits[i] - max);
            sum += shares[i];
        }
        for (int i = 0; i < logits.length; i++) {
            shares[i] /= sum;
        }
        return shares;
    }

    static List<CpuKernels> kernels() {
        return List.of(new ScalarKernels(), KernelSelection.vectorKernels().orElseThrow());
    }

    @Override
    public void close() {
        team.close();
    }
}
