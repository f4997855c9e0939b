package io.github.skim4j.cli.bench;

import io.github.skim4j.engine.AttentionStats;
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
 * Random tokens on a backend, one sequence at a time: a dense prefill in chunks up to a depth, then decode steps of one token. Methods decode
 * from the same prefill, unless they move what is in its pages.
 */
final class BackendBench {

    /** Tokens in a step of the prefill. */
    static final int CHUNK = 512;

    /** Decode steps before those that are measured: the first one makes what a method keeps of the prefill's pages. */
    static final int WARM_UP_STEPS = 2;

    private final Backend backend;
    private final PagePool pool;
    private final PrefixCache prefixes;
    private final int pageSize;
    private final int depth;
    private final int[] ids;

    /** @param ids random tokens, for all steps */
    BackendBench(Backend backend, int pageSize, int depth, int[] ids) {
        this.backend = backend;
        this.pool = new PagePool(backend.pages());
        this.prefixes = new PrefixCache(pool, pageSize);
        this.pageSize = pageSize;
        this.depth = depth;
        this.ids = ids;
    }

    /** Nanoseconds of a prefill of all tokens up to the depth. */
    long prefill() {
        try (KvSequence sequence = new KvSequence(pool, pageSize)) {
            long start = System.nanoTime();
            prefill(sequence, null, Span.Logits.LAST);
            long nanos = System.nanoTime() - start;
            prefixes.put(sequence, ids, depth);
            return nanos;
        }
    }

    /** {@code tokens} steps of decode with {@code method}. */
    Run decode(AttentionMethod method, int tokens) {
        Eviction eviction = new Eviction(method, depth);
        Span.Observation observation = eviction.observation();
        try (KvSequence sequence = new KvSequence(pool, pageSize)) {
            if (!packs(method)) {
                prefixes.take(sequence, ids, depth);
            }
            prefill(sequence, observation, Span.Logits.NONE);
            AttentionStats read = AttentionStats.NONE;
            long start = 0;
            for (int i = 0; i < WARM_UP_STEPS + tokens; i++) {
                if (i == WARM_UP_STEPS) {
                    read = AttentionStats.NONE;
                    start = System.nanoTime();
                }
                eviction.makeRoom(backend, sequence);
                read = read.plus(
                        step(sequence, 1, method, Span.Logits.LAST, observation).attention());
            }
            return new Run(System.nanoTime() - start, read);
        }
    }

    static boolean packs(AttentionMethod method) {
        return method instanceof EvictionMethod evicting && evicting.packs();
    }

    private void prefill(KvSequence sequence, Span.Observation observation, Span.Logits logits) {
        while (sequence.length() < depth) {
            int count = Math.min(CHUNK, depth - sequence.length());
            boolean last = sequence.length() + count == depth;
            step(sequence, count, new Dense(), last ? logits : Span.Logits.NONE, observation);
        }
    }

    private SpanResult step(
            KvSequence sequence, int count, AttentionMethod method, Span.Logits logits, Span.Observation observation) {
        if (!sequence.reserve(count)) {
            throw new IllegalStateException("the backend has " + pool.total() + " pages, too few for the run");
        }
        Span span = new Span(sequence, ids, sequence.length(), count, method, logits, observation);
        SpanResult result = backend.forward(List.of(span)).get(0);
        sequence.advance(count);
        return result;
    }

    record Run(long nanos, AttentionStats read) {}
}
