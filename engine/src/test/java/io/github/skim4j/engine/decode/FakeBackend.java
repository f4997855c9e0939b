package io.github.skim4j.engine.decode;

import io.github.skim4j.engine.AttentionStats;
import io.github.skim4j.engine.attention.Dense;
import io.github.skim4j.engine.attention.EvictionMethod;
import io.github.skim4j.engine.backend.Backend;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.kv.KvSequence;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;

/**
 * A model whose next token is a hash of all tokens that attention may read, read back from the pages that the scheduler handed out:
 * an error in paging, chunking or batching changes the answer.
 */
final class FakeBackend implements Backend {

    static final int VOCAB = 64;

    private final int[][] pages;
    private final List<List<Span>> steps = new ArrayList<>();
    private Consumer<List<Span>> before = spans -> {};
    private CompletableFuture<Void> loaded = CompletableFuture.completedFuture(null);
    private volatile boolean closed;

    FakeBackend(int pages, int pageSize) {
        this.pages = new int[pages][pageSize];
    }

    /** Runs in each step on the scheduler's thread. */
    void before(Consumer<List<Span>> before) {
        this.before = before;
    }

    void loaded(CompletableFuture<Void> loaded) {
        this.loaded = loaded;
    }

    @Override
    public CompletableFuture<Void> loaded() {
        return loaded;
    }

    List<List<Span>> steps() {
        return steps;
    }

    boolean isClosed() {
        return closed;
    }

    @Override
    public String device() {
        return "fake";
    }

    @Override
    public int pages() {
        return pages.length;
    }

    @Override
    public List<SpanResult> forward(List<Span> spans) {
        before.accept(spans);
        steps.add(List.copyOf(spans));
        List<SpanResult> results = new ArrayList<>();
        for (Span span : spans) {
            KvSequence sequence = span.sequence();
            int end = sequence.slots() + span.count();
            for (int i = 0; i < span.count(); i++) {
                set(sequence, sequence.slots() + i, span.tokens()[span.from() + i]);
            }
            List<Integer> read = new ArrayList<>();
            for (int slot = 0; slot < end; slot++) {
                if (slot < sequence.sinks() || slot >= sequence.windowStart()) {
                    read.add(get(sequence, slot));
                }
            }
            boolean sparse = !(span.attention() instanceof Dense);
            results.add(new SpanResult(
                    span.logits() == Span.Logits.LAST ? new float[][] {logits(read)} : new float[0][],
                    span.draw() != null ? span.draw().pick(logits(read)) : -1,
                    sparse
                            ? AttentionStats.ofTokens(read.size(), sequence.length() + span.count(), 0)
                            : AttentionStats.NONE));
        }
        return results;
    }

    /** Keeps the latest tokens, whatever the method. */
    @Override
    public void evict(KvSequence sequence, EvictionMethod method, int keep) {
        for (int slot = 0; slot < keep; slot++) {
            set(sequence, slot, get(sequence, sequence.slots() - keep + slot));
        }
    }

    private int get(KvSequence sequence, int slot) {
        return pages[sequence.page(slot / sequence.pageSize())][slot % sequence.pageSize()];
    }

    private void set(KvSequence sequence, int slot, int token) {
        pages[sequence.page(slot / sequence.pageSize())][slot % sequence.pageSize()] = token;
    }

    static int next(List<Integer> tokens) {
        return Math.floorMod(tokens.hashCode() * 31, VOCAB);
    }

    private static float[] logits(List<Integer> tokens) {
        float[] logits = new float[VOCAB];
        logits[next(tokens)] = 1;
        return logits;
    }

    @Override
    public void close() {
        closed = true;
    }
}
