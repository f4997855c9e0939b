package io.github.skim4j.langchain4j;

import io.github.skim4j.engine.AttentionStats;
import io.github.skim4j.engine.Engine;
import io.github.skim4j.engine.EngineClosedException;
import io.github.skim4j.engine.EngineStats;
import io.github.skim4j.engine.FinishReason;
import io.github.skim4j.engine.Generation;
import io.github.skim4j.engine.GenerationListener;
import io.github.skim4j.engine.GenerationRequest;
import io.github.skim4j.engine.GenerationResult;
import io.github.skim4j.engine.SamplingParameters;
import io.github.skim4j.engine.chat.ChatMessage;
import io.github.skim4j.engine.tokenizer.Tokenizer;
import java.time.Duration;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Function;
import java.util.stream.Stream;

/**
 * An engine that keeps the contract of {@link Engine} but takes its answers from a script. A token is a word with the space before
 * it; a prompt is rendered as ChatML.
 */
final class ScriptedEngine implements Engine {

    static final String MODEL = "scripted-model";
    static final int CACHED_TOKENS = 2;
    static final AttentionStats ATTENTION = AttentionStats.ofTokens(25, 100, 7);

    private final Function<List<ChatMessage>, Stream<String>> script;
    private final ExecutorService threads = Executors.newCachedThreadPool();
    private final AtomicInteger running = new AtomicInteger();
    private final AtomicInteger decoded = new AtomicInteger();
    private final SamplingParameters defaultSampling;
    private volatile GenerationRequest lastRequest;
    private volatile ScriptedGeneration lastGeneration;
    private volatile boolean closed;

    private ScriptedEngine(Function<List<ChatMessage>, Stream<String>> script, SamplingParameters defaultSampling) {
        this.script = script;
        this.defaultSampling = defaultSampling;
    }

    /** Answers with the tokens that {@code script} has for the messages; what it throws fails the call itself. */
    static ScriptedEngine of(Function<List<ChatMessage>, Stream<String>> script) {
        return new ScriptedEngine(script, SamplingParameters.GREEDY);
    }

    static ScriptedEngine answering(String text) {
        return of(messages -> words(text));
    }

    /** Goes on until it is cancelled or at its limit, a token each millisecond. */
    static ScriptedEngine endless() {
        return of(messages -> story());
    }

    static ScriptedEngine failing(Throwable failure) {
        return of(messages -> {
            throw unchecked(failure);
        });
    }

    /** Fails after some tokens, so that the failure reaches the listener. */
    static ScriptedEngine failingMidway(Throwable failure) {
        return of(messages -> Stream.concat(words("once upon a time"), Stream.generate(() -> {
            throw unchecked(failure);
        })));
    }

    ScriptedEngine withDefaultSampling(SamplingParameters sampling) {
        return new ScriptedEngine(script, sampling);
    }

    static Stream<String> words(String text) {
        return Stream.of(text.split("(?= )"));
    }

    static Stream<String> story() {
        return Stream.generate(() -> {
            try {
                Thread.sleep(1);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
            return " and";
        });
    }

    private static RuntimeException unchecked(Throwable failure) {
        if (failure instanceof Error error) {
            throw error;
        }
        return (RuntimeException) failure;
    }

    GenerationRequest lastRequest() {
        return lastRequest;
    }

    ScriptedGeneration lastGeneration() {
        return lastGeneration;
    }

    int running() {
        return running.get();
    }

    int decoded() {
        return decoded.get();
    }

    boolean isClosed() {
        return closed;
    }

    @Override
    public Generation generate(GenerationRequest request, GenerationListener listener) {
        if (closed) {
            throw new EngineClosedException("the engine is closed");
        }
        lastRequest = request;
        List<ChatMessage> messages = ((GenerationRequest.Chat) request.prompt()).messages();
        ScriptedGeneration generation = new ScriptedGeneration(
                request, listener, countTokens(messages), script.apply(messages).iterator());
        lastGeneration = generation;
        running.incrementAndGet();
        threads.execute(generation);
        return generation;
    }

    @Override
    public int countTokens(List<ChatMessage> messages) {
        if (messages.stream().noneMatch(message -> message.role().equals("user"))) {
            throw new IllegalArgumentException("a conversation needs a question");
        }
        return messages.stream()
                .mapToInt(message -> words("<|im_start|> " + message.role() + " " + message.content() + " <|im_end|>")
                        .toList()
                        .size())
                .sum();
    }

    @Override
    public Tokenizer tokenizer() {
        return new WordTokenizer();
    }

    @Override
    public String modelName() {
        return MODEL;
    }

    @Override
    public int contextLength() {
        return 4096;
    }

    @Override
    public SamplingParameters defaultSampling() {
        return defaultSampling;
    }

    @Override
    public EngineStats stats() {
        throw new UnsupportedOperationException();
    }

    @Override
    public void close() {
        closed = true;
        threads.shutdown();
    }

    /** Runs on a thread of its own, on which the listener is called. */
    final class ScriptedGeneration implements Generation, Runnable {

        private final GenerationRequest request;
        private final GenerationListener listener;
        private final int promptTokens;
        private final Iterator<String> tokens;
        private final CompletableFuture<GenerationResult> result = new CompletableFuture<>();
        private final StringBuilder text = new StringBuilder();
        private volatile boolean cancelled;
        private int delivered;
        private int generated;

        ScriptedGeneration(
                GenerationRequest request, GenerationListener listener, int promptTokens, Iterator<String> tokens) {
            this.request = request;
            this.listener = listener;
            this.promptTokens = promptTokens;
            this.tokens = tokens;
        }

        @Override
        public void cancel() {
            cancelled = true;
        }

        boolean isCancelled() {
            return cancelled;
        }

        @Override
        public CompletableFuture<GenerationResult> result() {
            return result;
        }

        @Override
        public void run() {
            GenerationResult end;
            try {
                end = end(decode());
            } catch (Throwable e) {
                running.decrementAndGet();
                result.completeExceptionally(e);
                listener.onError(e);
                return;
            }
            running.decrementAndGet();
            result.complete(end);
            listener.onComplete(end);
        }

        private FinishReason decode() {
            int limit = request.maxOutputTokens() == 0 ? Integer.MAX_VALUE : request.maxOutputTokens();
            while (!cancelled) {
                if (generated == limit) {
                    deliver(text.length());
                    return FinishReason.LENGTH;
                }
                generated++;
                decoded.incrementAndGet();
                if (!tokens.hasNext()) {
                    deliver(text.length());
                    return FinishReason.STOP;
                }
                text.append(tokens.next());
                int stop = request.stopSequences().stream()
                        .mapToInt(text::indexOf)
                        .filter(index -> index >= 0)
                        .min()
                        .orElse(-1);
                if (stop >= 0) {
                    text.setLength(stop);
                    deliver(stop);
                    return FinishReason.STOP;
                }
                deliver(text.length() - heldBack());
            }
            return FinishReason.CANCELLED;
        }

        /** Characters at the end that may turn out to begin a stop sequence. */
        private int heldBack() {
            return request.stopSequences().stream()
                    .mapToInt(stop -> stop.length() - 1)
                    .max()
                    .orElse(0);
        }

        private void deliver(int end) {
            if (end > delivered) {
                String piece = text.substring(delivered, end);
                delivered = end;
                listener.onText(piece);
            }
        }

        private GenerationResult end(FinishReason reason) {
            return new GenerationResult(
                    text.toString(),
                    List.of(),
                    reason,
                    promptTokens,
                    CACHED_TOKENS,
                    generated,
                    Duration.ZERO,
                    Duration.ofMillis(100),
                    Duration.ofMillis(100 + 10L * (generated - 1)),
                    ATTENTION);
        }
    }

    private static final class WordTokenizer implements Tokenizer {

        @Override
        public int[] encode(String text) {
            return words(text).mapToInt(String::hashCode).toArray();
        }

        @Override
        public String decode(int[] tokens) {
            throw new UnsupportedOperationException();
        }

        @Override
        public StreamDecoder newStreamDecoder() {
            throw new UnsupportedOperationException();
        }

        @Override
        public int vocabSize() {
            throw new UnsupportedOperationException();
        }

        @Override
        public void close() {}
    }
}
