package io.github.skim4j.cli;

import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.attention.Dense;
import io.github.skim4j.engine.attention.EvictionMethod;
import io.github.skim4j.engine.backend.Backend;
import io.github.skim4j.engine.backend.Backend.SpanResult;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.decode.Eviction;
import io.github.skim4j.engine.kv.KvSequence;
import io.github.skim4j.engine.kv.PagePool;
import io.github.skim4j.engine.kv.PrefixCache;
import java.util.List;

/**
 * Given tokens straight on a backend, one sequence at a time: the first are attended densely, the others by a method, one in a step.
 * Runs share the pages of the dense part, unless their method moves what is in them.
 */
public final class SequenceRun implements AutoCloseable {

    /** Tokens in a step of the dense part. */
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
        private final PagePool pool;
        private final PrefixCache prefixes;

        public Pages(Backend backend, int pageSize) {
            this.backend = backend;
            this.pageSize = pageSize;
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
            int count = Math.min(CHUNK, dense - sequence.length());
            boolean isLast = sequence.length() + count == dense;
            step(count, new Dense(), isLast ? last : Span.Logits.NONE);
        }
        if (!packs(method)) {
            pages.prefixes.put(sequence, tokens, dense);
        }
    }

    /** Attends the next token with the method; its logits are the result's. */
    public SpanResult next() {
        eviction.makeRoom(pages.backend, sequence);
        return step(1, method, Span.Logits.LAST);
    }

    private SpanResult step(int count, AttentionMethod attention, Span.Logits logits) {
        if (!sequence.reserve(count)) {
            throw new IllegalStateException("the backend has " + pages.pool.total() + " pages, too few for the run");
        }
        Span span = new Span(sequence, tokens, sequence.length(), count, attention, logits, eviction.observation());
        SpanResult result = pages.backend.forward(List.of(span)).get(0);
        sequence.advance(count);
        return result;
    }

    @Override
    public void close() {
        sequence.close();
    }
}
