package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.attention.Always;
import io.github.skim4j.engine.backend.cpu.LastSelections.Kept;
import io.github.skim4j.engine.backend.cpu.Pipelines.Pipeline;
import io.github.skim4j.engine.model.ModelConfig;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Finding out what one token's query group reads of one KV head. It begins with the list of all there is, which it shares with the other
 * heads; stages make shorter and weighted ones of it, one after the other. Reused from step to step.
 */
final class Selection {

    /** A step towards the list: parts that may run side by side, and an end that follows the last of them. */
    interface Stage {

        int SKIP = -1;

        /** Parts that there are for the list as it is, or {@link #SKIP} if nothing is to be done; on the step's thread. */
        int begin(Selection selection);

        default void part(Selection selection, int part, Scratch scratch) {}

        default void end(Selection selection, Scratch scratch) {}
    }

    /** Leaves the pages that are on the list to the tokens after this one, if these are to read them too. */
    static final Stage KEEP = selection -> {
        if (selection.kept != null && selection.list != selection.retained) {
            selection.kept.set(selection.list);
        }
        return Stage.SKIP;
    };

    /** A thread's memory. */
    static final class Scratch {

        private float[] floats = {};
        private short[] shorts = {};
        private int[][] words = {};
        private int[] ints = {};

        float[] floats(int size) {
            return floats = grown(floats, size);
        }

        short[] shorts(int size) {
            return shorts = shorts.length < size ? new short[size] : shorts;
        }

        /** {@code arrays} of at least {@code size} each. */
        int[][] words(int arrays, int size) {
            if (words.length < arrays || words[0].length < size) {
                words = new int[arrays][size];
            }
            return words;
        }

        int[] ints(int size) {
            return ints = ints.length < size ? new int[size] : ints;
        }
    }

    /** A part of a selection's stage. */
    record Part(Selection selection, int index) {

        void run(Scratch scratch) {
            selection.run(index, scratch);
        }
    }

    private final TokenList[] own = {new TokenList(), new TokenList()};
    private final AtomicInteger missing = new AtomicInteger();
    private TokenList retained;
    private TokenList list;
    private Kept kept;
    private QueryTile tile;
    private Always always;
    private List<Stage> stages;
    private int next;
    private long bytes;
    private int rows;
    private float[] queries = {};
    private float[] scores = {};
    private float[] references = {};
    private float[] prepared = {};
    private int[] planes = {};

    /**
     * @param retained all that the tile sees
     * @param kept where the tile's token finds the pages of one before it, or leaves its own; {@code null}: it ranks for itself
     */
    void start(QueryTile tile, TokenList retained, Pipeline pipeline, Kept kept, ModelConfig config) {
        this.tile = tile;
        this.retained = retained;
        list = retained;
        always = pipeline.always();
        stages = pipeline.fits(tile) ? pipeline.stages() : List.of();
        rows = config.group();
        queries = grown(queries, Attend.even(rows) * config.headDim());
        this.kept = kept;
        next = 0;
        bytes = 0;
        if (kept != null && kept.serves(position())) {
            next = pipeline.rankings();
            kept.addTo(beginList(), retained, tile.sequence().pageSize());
        }
    }

    /** Adds the parts of the next stage that has something to do; none at the end. */
    void addParts(List<Part> parts) {
        while (next < stages.size()) {
            int count = stages.get(next++).begin(this);
            if (count != Stage.SKIP) {
                missing.set(Math.max(1, count));
                for (int i = 0; i < Math.max(1, count); i++) {
                    parts.add(new Part(this, i));
                }
                return;
            }
        }
    }

    private void run(int part, Scratch scratch) {
        Stage stage = stages.get(next - 1);
        stage.part(this, part, scratch);
        if (missing.decrementAndGet() == 0) {
            stage.end(this, scratch);
        }
    }

    /** What is read, as far as it has been decided, to be read only. The last entry is the page being filled. */
    TokenList list() {
        return list;
    }

    /** All that the tile sees. */
    TokenList retained() {
        return retained;
    }

    /** Begins a list that takes the place of the one before, which stays as it was until the next is begun. */
    TokenList beginList() {
        list = list == own[0] ? own[1] : own[0];
        list.clear();
        return list;
    }

    /** Goes back to all that the tile sees. */
    void readAll() {
        list = retained;
    }

    QueryTile tile() {
        return tile;
    }

    /** Query heads. */
    int rows() {
        return rows;
    }

    /** [rows][headDim], times 1/√headDim; if the number of rows is odd there is room for one more. */
    float[] queries() {
        return queries;
    }

    /** Position of the token whose queries these are. */
    int position() {
        return tile.firstPosition();
    }

    /** Tokens that dense attention would read. */
    int visibleTokens() {
        return Math.min(position() + 1, tile.window());
    }

    /** First entries whose pages are read whatever their scores, as they have sinks. */
    int forcedFirst() {
        int entry = 0;
        while (entry < list.size() && list.slot(entry) < always.sinks()) {
            entry++;
        }
        return entry;
    }

    /** The first of the last entries whose pages are read whatever their scores: recent tokens' and the one being filled. */
    int forcedLast() {
        int end =
                position() + 1 - Math.max(1, always.recent()) - tile.sequence().pageSize();
        int entry = list.size();
        while (entry > 0 && list.slot(entry - 1) > end) {
            entry--;
        }
        return entry;
    }

    /** The tokens of an entry's page that are read whatever their scores. */
    long forcedTokens(TokenList list, int entry) {
        int pageSize = tile.sequence().pageSize();
        int slot = list.slot(entry);
        int recent = Math.min(position() + 1 - always.recent(), position() / pageSize * pageSize);
        return TokenList.range(0, Math.min(pageSize, Math.max(0, always.sinks() - slot)))
                | TokenList.range(Math.min(pageSize, Math.max(0, recent - slot)), pageSize);
    }

    /** Counts what selection read. */
    void addBytes(long count) {
        bytes += count;
    }

    long bytes() {
        return bytes;
    }

    /** Memory for what a stage makes of entries or tokens. */
    float[] scores(int size) {
        return scores = grown(scores, size);
    }

    float[] scores() {
        return scores;
    }

    /** Memory for what the parts of a stage have to say of their scores. */
    float[] references(int size) {
        return references = grown(references, size);
    }

    float[] references() {
        return references;
    }

    /** Memory for what a stage makes of the queries before its parts run. */
    float[] prepared(int size) {
        return prepared = grown(prepared, size);
    }

    float[] prepared() {
        return prepared;
    }

    int[] planes(int size) {
        return planes = planes.length < size ? new int[size] : planes;
    }

    int[] planes() {
        return planes;
    }

    private static float[] grown(float[] array, int size) {
        return array.length >= size ? array : new float[size];
    }
}
