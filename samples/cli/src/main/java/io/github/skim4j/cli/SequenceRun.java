package io.github.skim4j.cli;

import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.attention.Dense;
import io.github.skim4j.engine.attention.EvictionMethod;
import io.github.skim4j.engine.backend.Backend;
import io.github.skim4j.engine.backend.Backend.SpanResult;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.backend.TokenDraw;
import io.github.skim4j.engine.decode.Eviction;
import io.github.skim4j.engine.kv.KvSequence;
import io.github.skim4j.engine.kv.PagePool;
import io.github.skim4j.engine.kv.PrefixCache;
import java.util.ArrayList;
import java.util.List;

/**
 * Given tokens straight on a backend, one sequence at a time: the first are attended densely, the others by a method, one in a step.
 * Runs share the pages of the dense part, unless their method moves what is in them.
 */
public final class SequenceRun implements AutoCloseable {

    /** Tokens in a step of the dense part, if nothing else is said. */
    public static final int CHUNK = 512;

    private final Pages pages;
    private final AttentionMethod method;
    private final int[] tokens;
    private final int dense;
    private final Eviction eviction;
    private final KvSequence sequence;

    private SequenceRun(Pages pages, AttentionMethod method, int[] tokens, int dense) {
        this.pages = pages;
        this.method = method;
        this.tokens = tokens;
        this.dense = dense;
        eviction = new Eviction(method, dense);
        sequence = new KvSequence(pages.pool, pages.pageSize);
    }

    /** A backend's pages and what earlier runs left in them. */
    public static final class Pages {

        private final Backend backend;
        private final int pageSize;
        private final int chunk;
        private final PagePool pool;
        private final PrefixCache prefixes;

        public Pages(Backend backend, int pageSize) {
            this(backend, pageSize, CHUNK);
        }

        /** @param chunk tokens in a step of the dense part */
        public Pages(Backend backend, int pageSize, int chunk) {
            this.backend = backend;
            this.pageSize = pageSize;
            this.chunk = chunk;
            pool = new PagePool(backend.pages());
            prefixes = new PrefixCache(pool, pageSize);
        }

        /**
         * A run that has attended nothing yet.
         *
         * @param dense how many of the tokens are attended densely
         */
        public SequenceRun run(AttentionMethod method, int[] tokens, int dense) {
            return new SequenceRun(this, method, tokens, dense);
        }
    }

    /** Whether the method moves what is in its pages, so that they can't be shared. */
    public static boolean packs(AttentionMethod method) {
        return method instanceof EvictionMethod evicting && evicting.packs();
    }

    /** Takes what earlier runs left of the dense part. */
    public void takeShared() {
        if (!packs(method)) {
            pages.prefixes.take(sequence, tokens, dense);
        }
    }

    /** Attends what is left of the dense part, and leaves its pages to later runs. */
    public void prefill(Span.Logits last) {
        while (sequence.length() < dense) {
            int count = Math.min(pages.chunk, dense - sequence.length());
            boolean isLast = sequence.length() + count == dense;
            step(count, new Dense(), isLast ? last : Span.Logits.NONE);
        }
        if (!packs(method)) {
            pages.prefixes.put(sequence, tokens, dense);
        }
    }

    /** Attends the next token with the method. */
    public SpanResult next(Span.Logits logits) {
        return next(List.of(this), logits).get(0);
    }

    /** Attends the next token of each run in one step; the runs share their pages' backend. */
    public static List<SpanResult> next(List<SequenceRun> runs, Span.Logits logits) {
        List<Span> spans = new ArrayList<>();
        for (SequenceRun run : runs) {
            run.eviction.makeRoom(run.pages.backend, run.sequence);
            spans.add(run.span(1, run.method, logits));
        }
        List<SpanResult> results = runs.get(0).pages.backend.forward(spans);
        runs.forEach(run -> run.sequence.advance(1));
        return results;
    }

    private void step(int count, AttentionMethod attention, Span.Logits logits) {
        pages.backend.forward(List.of(span(count, attention, logits)));
        sequence.advance(count);
    }

    private Span span(int count, AttentionMethod attention, Span.Logits logits) {
        if (!sequence.reserve(count)) {
            throw new IllegalStateException("the backend has " + pages.pool.total() + " pages, too few for the run");
        }
        TokenDraw draw = logits == Span.Logits.TOKEN ? TokenDraw.GREEDY : null;
        return new Span(sequence, tokens, sequence.length(), count, attention, logits, draw, eviction.observation());
    }

    @Override
    public void close() {
        sequence.close();
    }
}
