package io.github.skim4j.engine.decode;

import io.github.skim4j.engine.ContextLengthExceededException;
import io.github.skim4j.engine.Engine;
import io.github.skim4j.engine.EngineConfig;
import io.github.skim4j.engine.EngineStats;
import io.github.skim4j.engine.Generation;
import io.github.skim4j.engine.GenerationListener;
import io.github.skim4j.engine.GenerationRequest;
import io.github.skim4j.engine.SamplingParameters;
import io.github.skim4j.engine.SkimException;
import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.backend.Backend;
import io.github.skim4j.engine.backend.BackendConfig;
import io.github.skim4j.engine.backend.Device;
import io.github.skim4j.engine.chat.ChatMessage;
import io.github.skim4j.engine.chat.ChatTemplate;
import io.github.skim4j.engine.concurrent.BackgroundTask;
import io.github.skim4j.engine.model.ModelFile;
import io.github.skim4j.engine.model.ModelResolver;
import io.github.skim4j.engine.model.ResolvedModel;
import io.github.skim4j.engine.tokenizer.PromptEncoder;
import io.github.skim4j.engine.tokenizer.Tokenizer;
import io.github.skim4j.engine.tokenizer.Tokenizers;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Supplier;
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
    private final BackgroundTask<ChatTemplate> template;

    private final BackgroundTask<Tokenizer> tokenizer;
    private final Backend backend;
    private final Scheduler scheduler;
    private final String fallbackReason;
    private final ExecutorService deliveryThreads;

    private LocalEngine(
            EngineConfig config,
            String modelName,
            ModelFile file,
            int contextLength,
            TextTasks tasks,
            Backend backend,
            String fallbackReason) {
        this.config = config;
        this.modelName = modelName;
        this.contextLength = contextLength;
        this.vocabSize = file.config().vocabSize();
        this.defaults = file.generationDefaults();
        this.specialTokens = file.specialTokens();
        this.tokenizer = tasks.tokenizer();
        this.template = tasks.template();
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
        Device device = Device.choose(config.device());
        ModelInUse model = ModelInUse.open(config);
        Backend backend = null;
        TextTasks tasks = null;
        try {
            ModelFile file = model.file();
            String name = model.resolved().name();
            int contextLength = contextLength(config, name, file.config().contextLength());
            Supplier<Tokenizer> tokenizer = null;
            if (device.provider().loadsInBackground()) {
                tokenizer = Tokenizers.prepare(file.tokenizer());
            } else {
                tasks = TextTasks.start(config, name, file, () -> Tokenizers.of(file.tokenizer()));
            }
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
            if (tasks == null) {
                // Before, they would only have competed with what open() still has to do.
                tasks = TextTasks.start(config, name, file, tokenizer);
            } else {
                // Done long since; what is wrong with it had better show at once.
                tasks.tokenizer().await();
            }
            if (config.chatTemplate() != null) {
                // A setting that is wrong had better show at once.
                tasks.template().await();
            }
            LocalEngine engine =
                    new LocalEngine(config, name, file, contextLength, tasks, backend, device.fallbackReason());
            backend.loaded().whenComplete((nothing, failure) -> {
                LOG.debug("Nothing of {} is read any more after {} ms", name, (System.nanoTime() - start) / 1_000_000);
                if (failure != null && !(failure instanceof CancellationException)) {
                    LOG.error("The weights of {} can't be loaded; all requests will fail", name, failure);
                }
                model.close();
            });
            LOG.info(
                    "Opened {} in {} ms on {}: context {} tokens, {} KV pages of {} tokens, attention {}",
                    name,
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
            if (tasks != null) {
                close(tasks.tokenizer());
            }
            model.close();
            throw e;
        }
    }

    /** A model that is open for as long as someone reads its weights. */
    private record ModelInUse(ResolvedModel resolved, ModelFile file) implements AutoCloseable {

        static ModelInUse open(EngineConfig config) {
            ResolvedModel resolved = ModelResolver.resolve(config.model(), config.hub());
            try {
                return new ModelInUse(resolved, ModelFile.open(resolved.path()));
            } catch (Throwable e) {
                resolved.close();
                throw e;
            }
        }

        /** Idempotent. */
        @Override
        public void close() {
            try {
                file.close();
                resolved.close();
            } catch (SkimException | UncheckedIOException e) {
                LOG.warn("What was used to load {} is left open or undeleted", resolved.name(), e);
            }
        }
    }

    /** What is on its way between messages and tokens; the template is {@code null} if the model has none. */
    private record TextTasks(BackgroundTask<ChatTemplate> template, BackgroundTask<Tokenizer> tokenizer) {

        static TextTasks start(EngineConfig config, String modelName, ModelFile file, Supplier<Tokenizer> tokenizer) {
            return new TextTasks(
                    BackgroundTask.start("skim-template", () -> LocalEngine.template(config, modelName, file)),
                    BackgroundTask.start("skim-tokenizer", tokenizer));
        }
    }

    private static void close(BackgroundTask<Tokenizer> task) {
        Tokenizer tokenizer;
        try {
            tokenizer = task.await();
        } catch (RuntimeException | Error e) {
            LOG.debug("There is no tokenizer to close", e);
            return;
        }
        tokenizer.close();
    }

    private static ChatTemplate template(EngineConfig config, String modelName, ModelFile file) {
        String source = config.chatTemplate() != null ? config.chatTemplate() : file.chatTemplate();
        return source == null ? null : ChatTemplate.of(source, modelName, file.specialTokens());
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
                        tokenizer().newStreamDecoder(),
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
            return encode(template().render(chat.messages(), chat.tools(), chat.templateArguments(), true));
        }
        if (prompt instanceof GenerationRequest.Text text) {
            boolean bos = specialTokens.addBos() && specialTokens.bos() != null;
            return encode(bos ? specialTokens.bos() + text.text() : text.text());
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

    /** @throws io.github.skim4j.engine.chat.ChatTemplateException if the model has none, with which it can still continue plain text, or a bad one */
    private ChatTemplate template() {
        ChatTemplate known = template.await();
        return known != null ? known : ChatTemplate.of(null, modelName, specialTokens);
    }

    @Override
    public int countTokens(List<ChatMessage> messages) {
        return encode(template().render(messages, List.of(), Map.of(), false)).length;
    }

    private int[] encode(String text) {
        return new PromptEncoder(tokenizer(), config.tokenCache()).encode(text);
    }

    @Override
    public Tokenizer tokenizer() {
        return tokenizer.await();
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
        close(tokenizer);
    }
}
