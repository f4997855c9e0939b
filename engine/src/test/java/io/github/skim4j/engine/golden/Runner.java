package io.github.skim4j.engine.golden;

import io.github.skim4j.engine.attention.Dense;
import io.github.skim4j.engine.backend.Backend;
import io.github.skim4j.engine.backend.BackendConfig;
import io.github.skim4j.engine.backend.BackendProvider;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.backend.Span.Logits;
import io.github.skim4j.engine.kv.KvCacheConfig;
import io.github.skim4j.engine.kv.KvCacheConfig.KvType;
import io.github.skim4j.engine.kv.KvSequence;
import io.github.skim4j.engine.kv.PagePool;
import io.github.skim4j.engine.model.ModelWeights;
import io.github.skim4j.engine.model.WeightFormat;
import java.util.List;
import java.util.ServiceLoader;

/** Runs one sequence at a time on the CPU backend, with keys and values in float32. */
final class Runner implements AutoCloseable {

    private static final int PAGE_SIZE = 16;
    private static final int CHUNK = 128;

    private final Backend backend;
    private final PagePool pool;
    private KvSequence sequence;

    Runner(ModelWeights weights, int contextLength) {
        BackendProvider cpu = ServiceLoader.load(BackendProvider.class).stream()
                .map(ServiceLoader.Provider::get)
                .filter(provider -> provider.name().equals("cpu"))
                .findFirst()
                .orElseThrow();
        long tokenBytes = 2L
                * KvType.F32.bytes()
                * weights.config().layers()
                * weights.config().kvHeads()
                * weights.config().headDim();
        KvCacheConfig kvCache =
                new KvCacheConfig(PAGE_SIZE, KvType.F32, (contextLength + PAGE_SIZE) * tokenBytes, false);
        backend = cpu.open(
                weights,
                new BackendConfig(0, 2, contextLength, 1, CHUNK, kvCache, WeightFormat.AS_STORED, new Dense(), 0));
        pool = new PagePool(backend.pages());
        sequence = new KvSequence(pool, PAGE_SIZE);
    }

    /** Forgets the sequence so far. */
    void restart() {
        sequence.close();
        sequence = new KvSequence(pool, PAGE_SIZE);
    }

    /** Appends {@code tokens} and returns the logits after the last of them. */
    float[] append(int... tokens) {
        float[] last = null;
        for (int from = 0; from < tokens.length; from += CHUNK) {
            int count = Math.min(CHUNK, tokens.length - from);
            last = forward(tokens, from, count, Logits.LAST)[0];
        }
        return last;
    }

    /** Told of the logits after each token. */
    interface LogitsConsumer {
        void accept(int index, float[] logits);
    }

    /** Appends {@code tokens} and hands on the logits after each. */
    void appendAll(int[] tokens, LogitsConsumer consumer) {
        for (int from = 0; from < tokens.length; from += CHUNK) {
            int count = Math.min(CHUNK, tokens.length - from);
            float[][] rows = forward(tokens, from, count, Logits.ALL);
            for (int i = 0; i < count; i++) {
                consumer.accept(from + i, rows[i]);
            }
        }
    }

    private float[][] forward(int[] tokens, int from, int count, Logits logits) {
        if (!sequence.reserve(count)) {
            throw new IllegalStateException("the pool of " + pool.total() + " pages is too small for the test");
        }
        Span span = new Span(sequence, tokens, from, count, new Dense(), logits);
        float[][] rows = backend.forward(List.of(span)).get(0).logits();
        sequence.advance(count);
        return rows;
    }

    @Override
    public void close() {
        sequence.close();
        backend.close();
    }

    static int argmax(float[] logits) {
        int best = 0;
        for (int i = 1; i < logits.length; i++) {
            if (logits[i] > logits[best]) {
                best = i;
            }
        }
        return best;
    }
}
