package io.github.skim4j.cli.bench;

import io.github.skim4j.engine.AttentionStats;
import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.attention.Dense;
import io.github.skim4j.engine.backend.Backend;
import io.github.skim4j.engine.backend.Backend.SpanResult;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.decode.Eviction;
import io.github.skim4j.engine.kv.KvSequence;
import io.github.skim4j.engine.kv.PagePool;
import io.github.skim4j.engine.model.ModelConfig;
import java.util.List;
import java.util.SplittableRandom;

/** Runs one sequence of random tokens on a backend: a dense prefill in chunks, then decode steps of one token. */
final class BackendBench {

    /** Tokens in a step of the prefill. */
    static final int CHUNK = 512;

    private static final long SEED = 42;

    private final Backend backend;
    private final PagePool pool;
    private final int pageSize;
    private final int vocabSize;

    BackendBench(Backend backend, int pageSize, ModelConfig config) {
        this.backend = backend;
        this.pool = new PagePool(backend.pages());
        this.pageSize = pageSize;
        this.vocabSize = config.vocabSize();
    }

    /** One run: {@code depth} tokens of prefill, then {@code tokens} steps of decode with {@code method}. */
    Run run(AttentionMethod method, int depth, int tokens) {
        int[] ids =
                new SplittableRandom(SEED).ints(depth + tokens, 0, vocabSize).toArray();
        try (KvSequence sequence = new KvSequence(pool, pageSize)) {
            Eviction eviction = new Eviction(method, depth);
            Span.Observation observation = eviction.observation();
            long start = System.nanoTime();
            while (sequence.length() < depth) {
                int count = Math.min(CHUNK, depth - sequence.length());
                boolean last = sequence.length() + count == depth;
                step(sequence, ids, count, new Dense(), last ? Span.Logits.LAST : Span.Logits.NONE, observation);
            }
            long prefilled = System.nanoTime();
            AttentionStats read = AttentionStats.NONE;
            for (int i = 0; i < tokens; i++) {
                eviction.makeRoom(backend, sequence);
                read = read.plus(step(sequence, ids, 1, method, Span.Logits.LAST, observation)
                        .attention());
            }
            return new Run(prefilled - start, System.nanoTime() - prefilled, read.density());
        }
    }

    private SpanResult step(
            KvSequence sequence,
            int[] ids,
            int count,
            AttentionMethod method,
            Span.Logits logits,
            Span.Observation observation) {
        if (!sequence.reserve(count)) {
            throw new IllegalStateException("the backend has " + pool.total() + " pages, too few for the run");
        }
        Span span = new Span(sequence, ids, sequence.length(), count, method, logits, observation);
        SpanResult result = backend.forward(List.of(span)).get(0);
        sequence.advance(count);
        return result;
    }

    record Run(long prefillNanos, long decodeNanos, double density) {}
}
