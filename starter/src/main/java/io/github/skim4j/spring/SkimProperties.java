package io.github.skim4j.spring;

import io.github.skim4j.engine.kv.KvCacheConfig.KvType;
import io.github.skim4j.engine.model.WeightFormat;
import java.net.URI;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.springframework.boot.context.properties.ConfigurationProperties;
import org.springframework.boot.context.properties.NestedConfigurationProperty;
import org.springframework.util.unit.DataSize;

/** The properties {@code langchain4j.skim.*}. */
@ConfigurationProperties(SkimProperties.PREFIX)
public class SkimProperties {

    public static final String PREFIX = "langchain4j.skim";

    /** Whether to load the model and offer its beans. */
    private Boolean enabled = true;

    /** Model to load: path of a Hugging Face directory or a GGUF file, classpath: resource, or Hugging Face id such as owner/name@revision. If not set, the model whose artifact is on the classpath, such as skim-demo-model. */
    private String model;

    /** Device to run on: auto, cpu, or another backend on the classpath with an optional number such as cuda:1. */
    private String device = "auto";

    /** Most tokens of a prompt with its answer; 0 takes the model's own. */
    private Integer contextLength = 0;

    /** CPU threads; 0 takes all cores. */
    private Integer threads = 0;

    /** Weights in memory: as-stored, or with F32, F16 and BF16 matrices quantised to q8_0 or q4_0 while they are loaded. */
    private WeightFormat weights = WeightFormat.AS_STORED;

    /** Jinja chat template in place of the model's own: the text, or the location of a resource that holds it, such as classpath:chat.jinja or a path. */
    private String chatTemplate;

    /** How long requests that are under way at shutdown may go on before they are ended with an error. */
    private Duration shutdownTimeout = Duration.ofSeconds(20);

    @NestedConfigurationProperty
    private final AttentionProperties attention = new AttentionProperties();

    private final KvCache kvCache = new KvCache();

    private final Scheduler scheduler = new Scheduler();

    private final Hub hub = new Hub();

    private final ChatModel chatModel = new ChatModel();

    private final TokenCache tokenCache = new TokenCache();

    public Boolean getEnabled() {
        return enabled;
    }

    public void setEnabled(Boolean enabled) {
        this.enabled = enabled;
    }

    public String getModel() {
        return model;
    }

    public void setModel(String model) {
        this.model = model;
    }

    public String getDevice() {
        return device;
    }

    public void setDevice(String device) {
        this.device = device;
    }

    public Integer getContextLength() {
        return contextLength;
    }

    public void setContextLength(Integer contextLength) {
        this.contextLength = contextLength;
    }

    public Integer getThreads() {
        return threads;
    }

    public void setThreads(Integer threads) {
        this.threads = threads;
    }

    public WeightFormat getWeights() {
        return weights;
    }

    public void setWeights(WeightFormat weights) {
        this.weights = weights;
    }

    public String getChatTemplate() {
        return chatTemplate;
    }

    public void setChatTemplate(String chatTemplate) {
        this.chatTemplate = chatTemplate;
    }

    public Duration getShutdownTimeout() {
        return shutdownTimeout;
    }

    public void setShutdownTimeout(Duration shutdownTimeout) {
        this.shutdownTimeout = shutdownTimeout;
    }

    public AttentionProperties getAttention() {
        return attention;
    }

    public KvCache getKvCache() {
        return kvCache;
    }

    public Scheduler getScheduler() {
        return scheduler;
    }

    public Hub getHub() {
        return hub;
    }

    public ChatModel getChatModel() {
        return chatModel;
    }

    public TokenCache getTokenCache() {
        return tokenCache;
    }

    /** The paged KV cache. */
    public static class KvCache {

        /** Tokens in a page: 8, 16, 32 or 64. */
        private Integer pageSize = 32;

        /** Storage type of keys and values: bf16; f32 on the CPU; f16, fp8 or int8 on a GPU. */
        private KvType type = KvType.BF16;

        /** Memory for all pages; 0B takes what two sequences of the full context length need, within half of the free heap. */
        private DataSize memory = DataSize.ofBytes(0);

        /** Whether prompts that begin like earlier ones reuse their keys and values, for as long as their pages are not needed. */
        private Boolean prefixCache = true;

        public Integer getPageSize() {
            return pageSize;
        }

        public void setPageSize(Integer pageSize) {
            this.pageSize = pageSize;
        }

        public KvType getType() {
            return type;
        }

        public void setType(KvType type) {
            this.type = type;
        }

        public DataSize getMemory() {
            return memory;
        }

        public void setMemory(DataSize memory) {
            this.memory = memory;
        }

        public Boolean getPrefixCache() {
            return prefixCache;
        }

        public void setPrefixCache(Boolean prefixCache) {
            this.prefixCache = prefixCache;
        }
    }

    /** How requests share the device. */
    public static class Scheduler {

        /** Sequences that run at the same time. */
        private Integer maxBatchSize = 8;

        /** Prompt tokens in one step; a long prompt is cut so that running answers go on in between. */
        private Integer prefillChunk = 512;

        /** Requests that may wait; one more is refused. */
        private Integer queueCapacity = 256;

        public Integer getMaxBatchSize() {
            return maxBatchSize;
        }

        public void setMaxBatchSize(Integer maxBatchSize) {
            this.maxBatchSize = maxBatchSize;
        }

        public Integer getPrefillChunk() {
            return prefillChunk;
        }

        public void setPrefillChunk(Integer prefillChunk) {
            this.prefillChunk = prefillChunk;
        }

        public Integer getQueueCapacity() {
            return queueCapacity;
        }

        public void setQueueCapacity(Integer queueCapacity) {
            this.queueCapacity = queueCapacity;
        }
    }

    /** How models are downloaded. */
    public static class Hub {

        /** Hugging Face hub to download from. If not set, the environment variable HF_ENDPOINT, then https://huggingface.co. */
        private URI endpoint;

        /** Access token for gated models. If not set, the environment variable HF_TOKEN. */
        private String token;

        /** Folder that keeps downloads. If not set, the environment variable SKIM_HOME, then .cache/skim in the home folder. */
        private Path cache;

        /** Whether to use only what the cache has and never connect. If not set, the environment variable HF_HUB_OFFLINE, then false. */
        private Boolean offline;

        public URI getEndpoint() {
            return endpoint;
        }

        public void setEndpoint(URI endpoint) {
            this.endpoint = endpoint;
        }

        public String getToken() {
            return token;
        }

        public void setToken(String token) {
            this.token = token;
        }

        public Path getCache() {
            return cache;
        }

        public void setCache(Path cache) {
            this.cache = cache;
        }

        public Boolean getOffline() {
            return offline;
        }

        public void setOffline(Boolean offline) {
            this.offline = offline;
        }
    }

    /** Defaults of requests to the chat models. */
    public static class ChatModel {

        /** Divides the logits before a token is drawn; 0 always takes the most probable token. If not set, the model's own. */
        private Double temperature;

        /** Draw from this many most probable tokens; 0 takes all. If not set, the model's own. */
        private Integer topK;

        /** Draw from the fewest most probable tokens whose mass reaches this; 1 takes all. If not set, the model's own. */
        private Double topP;

        /** Leave out tokens less probable than this share of the most probable one. If not set, the model's own. */
        private Double minP;

        /** Makes tokens of the prompt and the answer less probable; 1 is off. If not set, the model's own. */
        private Double repetitionPenalty;

        /** Subtracted from a token's logit for each time that it stands in the answer. If not set, 0. */
        private Double frequencyPenalty;

        /** Subtracted once from the logit of each token in the answer. If not set, 0. */
        private Double presencePenalty;

        /** The same seed, model, prompt and parameters give the same answer. If not set, each request draws its own. */
        private Long seed;

        /** Most tokens of an answer. If not set, as many as the context allows. */
        private Integer maxOutputTokens;

        /** Texts that end the answer and are left out of it. */
        private List<String> stopSequences;

        /** How long a request may take, waiting included. If not set, as long as it needs. */
        private Duration timeout;

        public Double getTemperature() {
            return temperature;
        }

        public void setTemperature(Double temperature) {
            this.temperature = temperature;
        }

        public Integer getTopK() {
            return topK;
        }

        public void setTopK(Integer topK) {
            this.topK = topK;
        }

        public Double getTopP() {
            return topP;
        }

        public void setTopP(Double topP) {
            this.topP = topP;
        }

        public Double getMinP() {
            return minP;
        }

        public void setMinP(Double minP) {
            this.minP = minP;
        }

        public Double getRepetitionPenalty() {
            return repetitionPenalty;
        }

        public void setRepetitionPenalty(Double repetitionPenalty) {
            this.repetitionPenalty = repetitionPenalty;
        }

        public Double getFrequencyPenalty() {
            return frequencyPenalty;
        }

        public void setFrequencyPenalty(Double frequencyPenalty) {
            this.frequencyPenalty = frequencyPenalty;
        }

        public Double getPresencePenalty() {
            return presencePenalty;
        }

        public void setPresencePenalty(Double presencePenalty) {
            this.presencePenalty = presencePenalty;
        }

        public Long getSeed() {
            return seed;
        }

        public void setSeed(Long seed) {
            this.seed = seed;
        }

        public Integer getMaxOutputTokens() {
            return maxOutputTokens;
        }

        public void setMaxOutputTokens(Integer maxOutputTokens) {
            this.maxOutputTokens = maxOutputTokens;
        }

        public List<String> getStopSequences() {
            return stopSequences;
        }

        public void setStopSequences(List<String> stopSequences) {
            this.stopSequences = stopSequences;
        }

        public Duration getTimeout() {
            return timeout;
        }

        public void setTimeout(Duration timeout) {
            this.timeout = timeout;
        }
    }

    /** Keeps the tokens of texts that come again, such as a document store's passages. */
    public static class TokenCache {

        /** Memory for cached texts and their tokens; 0B caches none. */
        private DataSize memory = DataSize.ofMegabytes(16);

        public DataSize getMemory() {
            return memory;
        }

        public void setMemory(DataSize memory) {
            this.memory = memory;
        }
    }
}
