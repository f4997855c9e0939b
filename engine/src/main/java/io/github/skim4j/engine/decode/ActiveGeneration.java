package io.github.skim4j.engine.decode;

import io.github.skim4j.engine.AttentionStats;
import io.github.skim4j.engine.EngineObserver;
import io.github.skim4j.engine.FinishReason;
import io.github.skim4j.engine.Generation;
import io.github.skim4j.engine.GenerationListener;
import io.github.skim4j.engine.GenerationResult;
import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.attention.Dense;
import io.github.skim4j.engine.attention.EvictionMethod;
import io.github.skim4j.engine.backend.Backend;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.backend.TokenDraw;
import io.github.skim4j.engine.kv.KvSequence;
import io.github.skim4j.engine.tokenizer.Tokenizer;
import java.time.Duration;
import java.util.Arrays;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One request on its way: its tokens, its place in the KV cache, and what its listener is told. The scheduler's thread changes it;
 * {@link #cancel} and {@link #result} are for any thread.
 */
final class ActiveGeneration implements Generation {

    private static final Logger LOG = LoggerFactory.getLogger(ActiveGeneration.class);

    /** Most tokens that select in one step, which takes memory for each. */
    private static final int SPARSE_CHUNK = 32;

    private final GenerationListener listener;
    private final EngineObserver observer;
    private final Delivery delivery;
    private final Runnable wakeScheduler;
    private final CompletableFuture<GenerationResult> result = new CompletableFuture<>();

    private final Sampler sampler;
    private final StopMatcher stops;
    private final Tokenizer.StreamDecoder decoder;
    private final Set<Integer> endTokens;
    private final AttentionMethod attention;
    private final int denseUntil;
    private final int promptLength;
    private final int maxLength;
    private final Eviction eviction;

    /** Prompt, then output; {@code length} of them are valid. */
    private int[] tokens;

    private int length;
    private KvSequence sequence;

    private final StringBuilder text = new StringBuilder();
    private final long submitted = System.nanoTime();
    private int cachedTokens;
    private long started;
    private long firstToken;
    private AttentionStats stats = AttentionStats.NONE;
    private long evicted;
    private int endTokensDrawn;

    private volatile boolean cancelled;
    private volatile Throwable listenerFailure;

    /**
     * What a generation needs beside its listener.
     *
     * @param prompt token ids, at least one
     * @param maxOutputTokens at least 1
     * @param denseTokens prompt tokens to attend densely
     * @param minContext tokens of a sequence from which {@code attention} is used
     */
    record Task(
            int[] prompt,
            int maxOutputTokens,
            Sampler sampler,
            StopMatcher stops,
            Tokenizer.StreamDecoder decoder,
            Set<Integer> endTokens,
            AttentionMethod attention,
            int denseTokens,
            int minContext) {}

    ActiveGeneration(
            Task task,
            GenerationListener listener,
            EngineObserver observer,
            Executor deliveryThreads,
            Runnable wakeScheduler) {
        this.listener = listener;
        this.observer = observer;
        this.delivery = new Delivery(deliveryThreads);
        this.wakeScheduler = wakeScheduler;
        this.sampler = task.sampler();
        this.stops = task.stops();
        this.decoder = task.decoder();
        this.endTokens = task.endTokens();
        this.attention = task.attention();
        this.denseUntil = Math.max(task.denseTokens(), task.minContext());
        this.tokens = task.prompt();
        this.promptLength = tokens.length;
        this.length = promptLength;
        this.maxLength = promptLength + task.maxOutputTokens();
        this.eviction = new Eviction(attention, denseUntil);
    }

    @Override
    public void cancel() {
        cancelled = true;
        wakeScheduler.run();
    }

    @Override
    public CompletableFuture<GenerationResult> result() {
        return result;
    }

    boolean isCancelled() {
        return cancelled;
    }

    // ---- what the scheduler runs next

    /**
     * Gives the generation a place in the KV cache, at its start or after it lost the last one; at most {@link #reusableTokens()} are
     * there already.
     */
    void start(KvSequence sequence) {
        this.sequence = sequence;
        if (started == 0) {
            cachedTokens = sequence.length();
            started = System.nanoTime();
        }
    }

    /** Returns all pages; {@link #start} computes the keys and values anew. */
    void stop() {
        if (sequence != null) {
            evicted = sequence.evicted();
            sequence.close();
            sequence = null;
        }
    }

    KvSequence sequence() {
        return sequence;
    }

    int[] tokens() {
        return tokens;
    }

    int promptLength() {
        return promptLength;
    }

    int length() {
        return length;
    }

    int cachedTokens() {
        return cachedTokens;
    }

    /** Whether the next step processes the token that was drawn last, rather than a part of the prompt. */
    boolean isDecoding() {
        return sequence.length() == length - 1 && length > promptLength;
    }

    /**
     * Tokens that the next step may take: a chunk as long as attention is dense; then a small one, since each of its tokens selects for
     * itself; one where a token's eviction decides what the next one sees.
     */
    int nextCount(int limit) {
        int done = sequence.length();
        int left = length - done;
        if (attention instanceof Dense) {
            return Math.min(left, limit);
        }
        if (done < denseUntil) {
            return Math.min(Math.min(left, denseUntil - done), limit);
        }
        return Math.min(left, attention instanceof EvictionMethod ? 1 : Math.min(limit, SPARSE_CHUNK));
    }

    /** Attention method of the next step. */
    AttentionMethod nextAttention() {
        return sequence.length() < denseUntil ? new Dense() : attention;
    }

    /** What the next step must observe for eviction; may be {@code null}. */
    Span.Observation observation() {
        return eviction.observation();
    }

    /**
     * Tokens from the first on, of those there are, whose pages may be shared: dense ones, whose keys and values depend on the tokens
     * before them alone. None if the method packs what it keeps, since that overwrites pages.
     */
    private int sharableTokens() {
        if (attention instanceof Dense) {
            return length;
        }
        boolean packs = attention instanceof EvictionMethod evicting && evicting.packs();
        return packs ? 0 : Math.min(length, denseUntil);
    }

    /** Tokens from the first on whose keys and values may come from elsewhere; not the last, whose logits are wanted. */
    int reusableTokens() {
        return Math.min(length - 1, sharableTokens());
    }

    /** Tokens from the first on whose keys and values others may use. */
    int reusableByOthers() {
        return Math.min(sequence.length(), sharableTokens());
    }

    /** Drops what the method does not keep, before the next step. */
    void evict(Backend backend) {
        if (!(nextAttention() instanceof Dense)) {
            eviction.makeRoom(backend, sequence);
        }
    }

    // ---- what a step brought

    void addStats(AttentionStats step) {
        stats = stats.plus(step);
    }

    AttentionStats stats() {
        return stats.plus(AttentionStats.ofTokens(0, 0, evicted));
    }

    int generatedTokens() {
        return length - promptLength + endTokensDrawn;
    }

    /** What the step of the last token must give. */
    Span.Logits wantedLogits() {
        return sampler.wantedLogits();
    }

    /** How that step draws a token; {@code null} if it gives logits. */
    TokenDraw draw() {
        return sampler.draw();
    }

    /** Draws the next token and tells the listener; the reason if this was the last one, else null. */
    FinishReason accept(Backend.SpanResult step) {
        int token = sampler.next(step);
        if (firstToken == 0) {
            firstToken = System.nanoTime();
        }
        if (endTokens.contains(token)) {
            endTokensDrawn = 1;
            return FinishReason.STOP;
        }
        if (length == tokens.length) {
            tokens = Arrays.copyOf(tokens, Math.max(tokens.length * 3 / 2, tokens.length + 16));
        }
        tokens[length++] = token;
        emit(stops.accept(decoder.next(token)));
        if (stops.stopped()) {
            return FinishReason.STOP;
        }
        return length == maxLength ? FinishReason.LENGTH : null;
    }

    private void emit(String piece) {
        if (piece.isEmpty()) {
            return;
        }
        text.append(piece);
        delivery.submit(() -> {
            if (listenerFailure != null) {
                return;
            }
            try {
                listener.onText(piece);
            } catch (Throwable e) {
                listenerFailure = e;
                cancel();
            }
        });
    }

    // ---- the end

    /** Frees the pages and delivers the result; the last call. */
    void finish(FinishReason reason) {
        stop();
        emit(stops.accept(decoder.finish()));
        emit(stops.flush());
        long now = System.nanoTime();
        GenerationResult outcome = new GenerationResult(
                text.toString(),
                Arrays.stream(tokens, promptLength, length).boxed().toList(),
                stops.stopped() && reason == FinishReason.LENGTH ? FinishReason.STOP : reason,
                promptLength,
                cachedTokens,
                generatedTokens(),
                Duration.ofNanos((started == 0 ? now : started) - submitted),
                Duration.ofNanos(firstToken == 0 ? 0 : firstToken - submitted),
                Duration.ofNanos(now - submitted),
                stats());
        delivery.submitLast(() -> {
            Throwable failure = listenerFailure;
            if (failure != null) {
                deliverError(failure);
                return;
            }
            guarded("an observer's onComplete", () -> observer.onComplete(outcome));
            guarded("a listener's onComplete", () -> listener.onComplete(outcome));
            result.complete(outcome);
        });
    }

    /** Frees the pages and delivers the error; the last call. */
    void fail(Throwable error) {
        stop();
        delivery.submitLast(() -> deliverError(error));
    }

    private void deliverError(Throwable error) {
        Duration totalTime = Duration.ofNanos(System.nanoTime() - submitted);
        guarded("an observer's onError", () -> observer.onError(error, totalTime));
        guarded("a listener's onError", () -> listener.onError(error));
        result.completeExceptionally(error);
    }

    private static void guarded(String name, Runnable callback) {
        try {
            callback.run();
        } catch (Throwable e) {
            LOG.warn("Ignored what {} threw", name, e);
        }
    }
}
