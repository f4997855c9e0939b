package io.github.skim4j.engine.decode;

import io.github.skim4j.engine.ContextLengthExceededException;
import io.github.skim4j.engine.Engine;
import io.github.skim4j.engine.EngineConfig;
import io.github.skim4j.engine.EngineStats;
import io.github.skim4j.engine.Generation;
import io.github.skim4j.engine.GenerationListener;
import io.github.skim4j.engine.GenerationRequest;
import io.github.skim4j.engine.SamplingParameters;
import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.backend.Backend;
import io.github.skim4j.engine.backend.BackendConfig;
import io.github.skim4j.engine.backend.Device;
import io.github.skim4j.engine.chat.ChatMessage;
import io.github.skim4j.engine.chat.ChatTemplate;
import io.github.skim4j.engine.model.ModelFile;
import io.github.skim4j.engine.model.ModelResolver;
import io.github.skim4j.engine.model.ResolvedModel;
import io.github.skim4j.engine.tokenizer.PromptEncoder;
import io.github.skim4j.engine.tokenizer.Tokenizer;
import io.github.skim4j.engine.tokenizer.Tokenizers;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.FutureTask;
import java.util.concurrent.atomic.AtomicInteger;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The engine of this process: one model on one device. */
public final class LocalEngine implements Engine {

    private static final Logger LOG = LoggerFactory.getLogger(LocalEngine.class);

    private final EngineConfig config;
    private final String modelName;
    private final int contextLength;
    private final int vocabSize;
    private final ModelFile.GenerationDefaults defaults;
    private final ModelFile.SpecialTokens specialTokens;
    /** {@code null} if the model has none: it can still continue plain text. */
    private final ChatTemplate template;

    private final Tokenizer tokenizer;
    private final PromptEncoder encoder;
    private final Backend backend;
    private final Scheduler scheduler;
    private final String fallbackReason;
    private final ExecutorService deliveryThreads;

    private LocalEngine(
            EngineConfig config,
            String modelName,
            ModelFile file,
            int contextLength,
            Tokenizer tokenizer,
            ChatTemplate template,
            Backend backend,
            String fallbackReason) {
        this.config = config;
        this.modelName = modelName;
        this.contextLength = contextLength;
        this.vocabSize = file.config().vocabSize();
        this.defaults = file.generationDefaults();
        this.specialTokens = file.specialTokens();
        this.tokenizer = tokenizer;
        this.template = template;
        this.encoder = new PromptEncoder(tokenizer, config.tokenCache());
        this.backend = backend;
        this.fallbackReason = fallbackReason;
        AtomicInteger threads = new AtomicInteger();
        this.deliveryThreads = Executors.newCachedThreadPool(task -> {
            Thread thread = new Thread(task, "skim-delivery-" + threads.incrementAndGet());
            thread.setDaemon(true);
            return thread;
        });
        this.scheduler = new Scheduler(backend, config.kvCache(), config.scheduler());
    }

    /** See {@link Engine#open}. */
    public static Engine open(EngineConfig config) {
        long start = System.nanoTime();
        // Reading the file's header leaves other cores free.
        start("skim-template", Executors.callable(ChatTemplate::prepare));
        Device device = Device.choose(config.device());
        try (ResolvedModel resolved = ModelResolver.resolve(config.model(), config.hub());
                ModelFile file = ModelFile.open(resolved.path())) {
            int contextLength =
                    contextLength(config, resolved.name(), file.config().contextLength());
            // Both take about as long as the weights of a small model, so that all are made at once.
            FutureTask<Tokenizer> tokenizer = start("skim-tokenizer", () -> Tokenizers.of(file.tokenizer()));
            FutureTask<ChatTemplate> template = start("skim-template", () -> template(config, resolved.name(), file));
            Backend backend = null;
            try {
                backend = device.provider()
                        .open(
                                file,
                                new BackendConfig(
                                        device.ordinal(),
                                        config.threads(),
                                        contextLength,
                                        config.scheduler().maxBatchSize(),
                                        config.scheduler().maxBatchSize()
                                                + config.scheduler().prefillChunk(),
                                        config.kvCache(),
                                        config.weights(),
                                        config.attention(),
                                        config.recallProbe()));
                LocalEngine engine = new LocalEngine(
                        config,
                        resolved.name(),
                        file,
                        contextLength,
                        await(tokenizer),
                        await(template),
                        backend,
                        device.fallbackReason());
                LOG.info(
                        "Loaded {} in {} ms on {}: context {} tokens, {} KV pages of {} tokens, attention {}",
                        resolved.name(),
                        (System.nanoTime() - start) / 1_000_000,
                        backend.device(),
                        contextLength,
                        backend.pages(),
                        config.kvCache().pageSize(),
                        config.attention().spec());
                int minContext = engine.minContext(config.attention());
                if (config.minContext() == null && minContext > 0) {
                    LOG.info(
                            "Attention is dense up to {} tokens, where that is faster than {}; min-context sets another limit",
                            minContext,
                            config.attention().name());
                }
                if (device.fallbackReason() != null) {
                    LOG.info("Running on {} because {}", backend.device(), device.fallbackReason());
                }
                return engine;
            } catch (Throwable e) {
                if (backend != null) {
                    backend.close();
                }
                close(tokenizer, e);
                throw e;
            }
        }
    }

    private static ChatTemplate template(EngineConfig config, String modelName, ModelFile file) {
        String source = config.chatTemplate() != null ? config.chatTemplate() : file.chatTemplate();
        return source == null ? null : ChatTemplate.of(source, modelName, file.specialTokens());
    }

    private static <T> FutureTask<T> start(String threadName, Callable<T> work) {
        FutureTask<T> task = new FutureTask<>(work);
        Thread thread = new Thread(task, threadName);
        thread.setDaemon(true);
        thread.start();
        return task;
    }

    private static <T> T await(FutureTask<T> task) {
        boolean interrupted = false;
        try {
            while (true) {
                try {
                    return task.get();
                } catch (InterruptedException e) {
                    interrupted = true;
                }
            }
        } catch (ExecutionException e) {
            if (e.getCause() instanceof Error error) {
                throw error;
            }
            throw (RuntimeException) e.getCause();
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    /** Closes the tokenizer as soon as it is there, after {@code failure} of something else or of its own. */
    private static void close(FutureTask<Tokenizer> task, Throwable failure) {
        try {
            await(task).close();
        } catch (RuntimeException | Error e) {
            if (e != failure) {
                failure.addSuppressed(e);
            }
        }
    }

    private static int contextLength(EngineConfig config, String model, int supported) {
        if (config.contextLength() > supported) {
            throw new IllegalArgumentException("context-length is " + config.contextLength() + ", but " + model
                    + " was made for at most " + supported + " tokens");
        }
        return config.contextLength() == 0 ? supported : config.contextLength();
    }

    @Override
    public Generation generate(GenerationRequest request, GenerationListener listener) {
        int[] prompt = promptTokens(request.prompt());
        if (prompt.length == 0) {
            throw new IllegalArgumentException("the prompt is empty");
        }
        int room = contextLength - prompt.length;
        if (room < 1) {
            throw new ContextLengthExceededException("The prompt has " + prompt.length
                    + " tokens and leaves no room for an answer in the context length of " + contextLength
                    + ": shorten it or raise context-length");
        }
        int maxOutputTokens = request.maxOutputTokens() == 0 ? room : Math.min(request.maxOutputTokens(), room);
        AttentionMethod attention = request.attention() != null ? request.attention() : config.attention();
        attention.requireFits(config.kvCache().pageSize());
        backend.requireSupports(attention);
        int denseTokens =
                request.denseTokens() == null ? prompt.length : Math.min(request.denseTokens(), prompt.length);
        ActiveGeneration generation = new ActiveGeneration(
                new ActiveGeneration.Task(
                        prompt,
                        maxOutputTokens,
                        new Sampler(request.sampling(), prompt),
                        new StopMatcher(request.stopSequences()),
                        tokenizer.newStreamDecoder(),
                        defaults.endTokens(),
                        attention,
                        denseTokens,
                        minContext(attention)),
                listener,
                config.observer(),
                deliveryThreads,
                this::wakeScheduler);
        scheduler.submit(generation);
        return generation;
    }

    private int minContext(AttentionMethod attention) {
        return config.minContext() != null ? config.minContext() : backend.leastContext(attention);
    }

    private void wakeScheduler() {
        scheduler.wake();
    }

    private int[] promptTokens(GenerationRequest.Prompt prompt) {
        if (prompt instanceof GenerationRequest.Chat chat) {
            return encoder.encode(template().render(chat.messages(), chat.tools(), chat.templateArguments(), true));
        }
        if (prompt instanceof GenerationRequest.Text text) {
            boolean bos = specialTokens.addBos() && specialTokens.bos() != null;
            return encoder.encode(bos ? specialTokens.bos() + text.text() : text.text());
        }
        List<Integer> ids = ((GenerationRequest.Tokens) prompt).ids();
        for (int id : ids) {
            if (id < 0 || id >= vocabSize) {
                throw new IllegalArgumentException(
                        "token id " + id + " is not in the vocabulary of " + vocabSize + " tokens");
            }
        }
        return ids.stream().mapToInt(Integer::intValue).toArray();
    }

    private ChatTemplate template() {
        return template != null ? template : ChatTemplate.of(null, modelName, specialTokens);
    }

    @Override
    public int countTokens(List<ChatMessage> messages) {
        return encoder.encode(template().render(messages, List.of(), Map.of(), false)).length;
    }

    @Override
    public Tokenizer tokenizer() {
        return tokenizer;
    }

    @Override
    public String modelName() {
        return modelName;
    }

    @Override
    public int contextLength() {
        return contextLength;
    }

    @Override
    public SamplingParameters defaultSampling() {
        SamplingParameters greedy = SamplingParameters.GREEDY;
        return new SamplingParameters(
                orElse(defaults.temperature(), greedy.temperature()),
                orElse(defaults.topK(), greedy.topK()),
                orElse(defaults.topP(), greedy.topP()),
                orElse(defaults.minP(), greedy.minP()),
                orElse(defaults.repetitionPenalty(), greedy.repetitionPenalty()),
                0,
                0,
                null);
    }

    private static <T> T orElse(T value, T otherwise) {
        return value != null ? value : otherwise;
    }

    @Override
    public EngineStats stats() {
        return scheduler.stats(fallbackReason);
    }

    @Override
    public void close() {
        scheduler.close();
        deliveryThreads.shutdown();
        tokenizer.close();
    }
}
