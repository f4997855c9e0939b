package io.github.skim4j.engine.decode;

import io.github.skim4j.engine.AttentionStats;
import io.github.skim4j.engine.EngineClosedException;
import io.github.skim4j.engine.EngineStats;
import io.github.skim4j.engine.FinishReason;
import io.github.skim4j.engine.QueueFullException;
import io.github.skim4j.engine.SchedulerConfig;
import io.github.skim4j.engine.SkimException;
import io.github.skim4j.engine.backend.Backend;
import io.github.skim4j.engine.backend.BackendException;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.kv.KvCacheConfig;
import io.github.skim4j.engine.kv.KvCacheFullException;
import io.github.skim4j.engine.kv.KvSequence;
import io.github.skim4j.engine.kv.PagePool;
import io.github.skim4j.engine.kv.PrefixCache;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.atomic.LongAdder;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Runs all generations of an engine on one thread, the only one that touches backend and KV pages. Each step takes one token of
 * every answer that is being decoded and fills up with chunks of prompts, first come first served. Prompts begin with the pages of
 * earlier ones that began the same. When pages run out, the youngest
 * generation gives its pages back and is computed anew later.
 */
final class Scheduler implements AutoCloseable {

    private static final Logger LOG = LoggerFactory.getLogger(Scheduler.class);

    private final Backend backend;
    private final PagePool pool;
    /** {@code null} if there is none. */
    private final PrefixCache prefixCache;

    private final int pageSize;
    private final SchedulerConfig config;
    private final Thread thread;

    /** Guards {@code waiting}, {@code closed} and {@code failure}. */
    private final Object lock = new Object();

    private final ArrayDeque<ActiveGeneration> waiting = new ArrayDeque<>();
    private boolean closed;
    private Throwable failure;

    /** In order of admission; only the scheduler's thread changes it. */
    private final List<ActiveGeneration> running = new CopyOnWriteArrayList<>();

    private final LongAdder completed = new LongAdder();
    private final LongAdder cancelled = new LongAdder();
    private final LongAdder failed = new LongAdder();
    private final LongAdder promptTokens = new LongAdder();
    private final LongAdder cachedTokens = new LongAdder();
    private final LongAdder generatedTokens = new LongAdder();
    private final AtomicReference<AttentionStats> attention = new AtomicReference<>(AttentionStats.NONE);

    Scheduler(Backend backend, KvCacheConfig kvCache, SchedulerConfig config) {
        this.backend = backend;
        this.pool = new PagePool(backend.pages());
        this.pageSize = kvCache.pageSize();
        this.prefixCache = kvCache.prefixCache() ? new PrefixCache(pool, pageSize) : null;
        this.config = config;
        this.thread = new Thread(this::run, "skim-scheduler");
        thread.setDaemon(true);
        thread.start();
    }

    /** Queues a generation, or throws and leaves it untouched. */
    void submit(ActiveGeneration generation) {
        int needed = pagesToAdmit(generation);
        if (needed > pool.total()) {
            throw new KvCacheFullException("A prompt of " + generation.length() + " tokens needs " + needed
                    + " KV pages of " + pageSize + " tokens, but the whole cache has " + pool.total()
                    + ": raise kv-cache.memory or shorten the prompt");
        }
        synchronized (lock) {
            if (closed) {
                throw new EngineClosedException("The engine is closed");
            }
            if (failure != null) {
                throw new BackendException("The engine's device failed earlier; open a new engine", failure);
            }
            if (waiting.size() >= config.queueCapacity()) {
                throw new QueueFullException(
                        waiting.size() + " requests wait already: try again later or raise scheduler.queue-capacity");
            }
            waiting.add(generation);
            lock.notifyAll();
        }
    }

    /** Lets the scheduler look at cancelled generations. */
    void wake() {
        synchronized (lock) {
            lock.notifyAll();
        }
    }

    EngineStats stats(String fallbackReason) {
        int queued;
        String unusable;
        synchronized (lock) {
            queued = waiting.size();
            unusable = closed ? "the engine is closed" : failure != null ? "the device failed: " + failure : null;
        }
        return new EngineStats(
                backend.device(),
                fallbackReason,
                unusable,
                pool.total(),
                pool.free(),
                pageSize,
                running.size(),
                queued,
                completed.sum(),
                cancelled.sum(),
                failed.sum(),
                promptTokens.sum(),
                cachedTokens.sum(),
                generatedTokens.sum(),
                attention.get());
    }

    /** Fails what runs and waits, ends the thread and closes the backend; idempotent. */
    @Override
    public void close() {
        synchronized (lock) {
            closed = true;
            lock.notifyAll();
        }
        // A step may wait for weights.
        backend.loaded().cancel(false);
        boolean interrupted = false;
        while (thread.isAlive()) {
            try {
                thread.join();
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    // ---- the scheduler's thread

    private void run() {
        RuntimeException reason = new EngineClosedException("The engine was closed before the answer was complete");
        try {
            while (awaitWork()) {
                step();
            }
        } catch (CancellationException e) {
            // Only close() cancels.
            LOG.debug("Closed before all weights were loaded", e);
        } catch (Throwable e) {
            LOG.error("The device {} failed; the engine serves no more requests", backend.device(), e);
            reason = e instanceof SkimException known ? known : new BackendException("The device failed: " + e, e);
            synchronized (lock) {
                failure = e;
            }
        } finally {
            List<ActiveGeneration> all = new ArrayList<>(running);
            synchronized (lock) {
                all.addAll(waiting);
                waiting.clear();
            }
            for (ActiveGeneration generation : all) {
                fail(generation, reason);
            }
            backend.close();
        }
    }

    /** Waits until there is something to run and admits what there is room for; false when the engine is closed. */
    private boolean awaitWork() {
        synchronized (lock) {
            while (!closed && running.isEmpty() && waiting.isEmpty()) {
                try {
                    lock.wait();
                } catch (InterruptedException e) {
                    LOG.debug("Only close() ends the scheduler", e);
                }
            }
            for (ActiveGeneration generation : List.copyOf(waiting)) {
                if (generation.isCancelled()) {
                    waiting.remove(generation);
                    finish(generation, FinishReason.CANCELLED);
                }
            }
            while (!waiting.isEmpty() && hasRoomFor(waiting.peek())) {
                ActiveGeneration next = waiting.remove();
                KvSequence sequence = new KvSequence(pool, pageSize);
                if (prefixCache != null) {
                    prefixCache.take(sequence, next.tokens(), next.reusableTokens());
                }
                next.start(sequence);
                running.add(next);
            }
            return !closed;
        }
    }

    private boolean hasRoomFor(ActiveGeneration next) {
        if (running.isEmpty()) {
            return true;
        }
        if (running.size() == config.maxBatchSize()) {
            return false;
        }
        int promised = 0;
        for (ActiveGeneration generation : running) {
            KvSequence sequence = generation.sequence();
            promised += sequence.pagesFor(generation.length() - sequence.length());
        }
        int shared = prefixCache == null ? 0 : prefixCache.heldPages(next.tokens(), next.reusableTokens());
        return pagesToAdmit(next) - shared <= pool.free() - promised;
    }

    /** Pages for the tokens that there are and one more. */
    private int pagesToAdmit(ActiveGeneration generation) {
        return generation.length() / pageSize + 1;
    }

    private void step() {
        List<ActiveGeneration> batch = new ArrayList<>();
        List<Span> spans = new ArrayList<>();
        int prefill = config.prefillChunk();
        for (ActiveGeneration generation : running) {
            if (!running.contains(generation)) {
                continue; // It waits again: an older one took its pages in this step.
            }
            if (generation.isCancelled()) {
                finish(generation, FinishReason.CANCELLED);
            } else {
                boolean decoding = generation.isDecoding();
                Span span = prefill > 0 || decoding ? nextSpan(generation, decoding ? 1 : prefill) : null;
                if (span != null) {
                    prefill -= decoding ? 0 : span.count();
                    batch.add(generation);
                    spans.add(span);
                }
            }
        }
        if (spans.isEmpty()) {
            return;
        }
        List<Backend.SpanResult> results;
        try {
            results = backend.forward(spans);
        } catch (OutOfMemoryError e) {
            SkimException error = new SkimException(
                    "The Java heap of " + Runtime.getRuntime().maxMemory() / (1 << 20)
                            + " MiB is exhausted: raise -Xmx, or lower kv-cache.memory or scheduler.max-batch-size",
                    e);
            running.forEach(generation -> fail(generation, error));
            return;
        }
        for (int i = 0; i < spans.size(); i++) {
            ActiveGeneration generation = batch.get(i);
            Span span = spans.get(i);
            span.sequence().advance(span.count());
            if (prefixCache != null) {
                prefixCache.put(span.sequence(), generation.tokens(), generation.reusableByOthers());
            }
            generation.addStats(results.get(i).attention());
            if (span.logits() != Span.Logits.NONE) {
                FinishReason reason = generation.accept(results.get(i));
                if (reason != null) {
                    finish(generation, reason);
                }
            }
        }
    }

    /** The generation's next tokens with pages for them, or null if it got none and waits again, or failed. */
    private Span nextSpan(ActiveGeneration generation, int limit) {
        generation.evict(backend);
        int count = generation.nextCount(limit);
        KvSequence sequence = generation.sequence();
        while (!sequence.reserve(count)) {
            if (running.size() == 1) {
                fail(
                        generation,
                        new KvCacheFullException("The KV cache of " + pool.total() + " pages is full after "
                                + sequence.length() + " of " + generation.length()
                                + " tokens: raise kv-cache.memory, shorten the prompt or limit the output tokens"));
                return null;
            }
            ActiveGeneration youngest = running.get(running.size() - 1);
            running.remove(youngest);
            youngest.stop();
            synchronized (lock) {
                waiting.addFirst(youngest);
            }
            if (youngest == generation) {
                return null;
            }
        }
        boolean last = sequence.length() + count == generation.length();
        return new Span(
                sequence,
                generation.tokens(),
                sequence.length(),
                count,
                generation.nextAttention(),
                last ? generation.wantedLogits() : Span.Logits.NONE,
                last ? generation.draw() : null,
                generation.observation());
    }

    private void finish(ActiveGeneration generation, FinishReason reason) {
        completed.increment();
        if (reason == FinishReason.CANCELLED) {
            cancelled.increment();
        }
        release(generation);
        generation.finish(reason);
    }

    private void fail(ActiveGeneration generation, Throwable error) {
        failed.increment();
        release(generation);
        generation.fail(error);
    }

    /** Frees and counts before the caller hears of the end. */
    private void release(ActiveGeneration generation) {
        running.remove(generation);
        generation.stop();
        promptTokens.add(generation.promptLength());
        cachedTokens.add(generation.cachedTokens());
        generatedTokens.add(generation.generatedTokens());
        attention.updateAndGet(sum -> sum.plus(generation.stats()));
    }
}
