package io.github.skim4j.spring;

import io.github.skim4j.engine.attention.Quest;
import io.github.skim4j.engine.attention.Twilight;
import io.github.skim4j.engine.attention.VAttention;

/** The properties {@code langchain4j.skim.attention.*}: how answers attend to the prompt. */
public class AttentionProperties {

    /** Attention method of requests that choose none: dense, quest, sketch, double-sparsity, twilight, vattention, streaming-llm, h2o, tova or snapkv; oracle and random are for evaluation. */
    private String method = "dense";

    /** Tokens that the method keeps or reads: a number such as 1024, or a share of the sequence such as 12.5%. With twilight and vattention the budget of their base; if not set, 25% and 5%. Not used by dense. */
    private String budget;

    /** Sequences shorter than this many tokens are attended densely whatever the method. If not set, as many as make a selecting method faster than dense attention on a GPU, and 0 on a CPU. */
    private Integer minContext;

    /** Share of the decode steps, 0 to 1, in which the attention of one layer and KV head is also computed densely, to report what the method loses; 0 is off. */
    private Double recallProbe = 0.0;

    /** First tokens of the sequence that a selecting method always reads. If not set, 4, and 128 with vattention. */
    private Integer sinks;

    /** Latest tokens that a selecting method always reads. If not set, 16, and 128 with vattention. */
    private Integer recent;

    /** Layers from the first on that read everything with a selecting method. */
    private Integer denseLayers = 2;

    /** Decoded tokens in a row that read the pages which the first of them ranked highest, with a selecting method; 1: each token ranks them. */
    private Integer reuseInterval = 1;

    private final QuestSettings quest = new QuestSettings();

    private final SketchSettings sketch = new SketchSettings();

    private final DoubleSparsitySettings doubleSparsity = new DoubleSparsitySettings();

    private final TwilightSettings twilight = new TwilightSettings();

    private final VAttentionSettings vattention = new VAttentionSettings();

    private final StreamingLlmSettings streamingLlm = new StreamingLlmSettings();

    private final H2oSettings h2o = new H2oSettings();

    private final SnapKvSettings snapkv = new SnapKvSettings();

    private final RandomSettings random = new RandomSettings();

    public String getMethod() {
        return method;
    }

    public void setMethod(String method) {
        this.method = method;
    }

    public String getBudget() {
        return budget;
    }

    public void setBudget(String budget) {
        this.budget = budget;
    }

    public Integer getMinContext() {
        return minContext;
    }

    public void setMinContext(Integer minContext) {
        this.minContext = minContext;
    }

    public Double getRecallProbe() {
        return recallProbe;
    }

    public void setRecallProbe(Double recallProbe) {
        this.recallProbe = recallProbe;
    }

    public Integer getSinks() {
        return sinks;
    }

    public void setSinks(Integer sinks) {
        this.sinks = sinks;
    }

    public Integer getRecent() {
        return recent;
    }

    public void setRecent(Integer recent) {
        this.recent = recent;
    }

    public Integer getDenseLayers() {
        return denseLayers;
    }

    public void setDenseLayers(Integer denseLayers) {
        this.denseLayers = denseLayers;
    }

    public Integer getReuseInterval() {
        return reuseInterval;
    }

    public void setReuseInterval(Integer reuseInterval) {
        this.reuseInterval = reuseInterval;
    }

    public QuestSettings getQuest() {
        return quest;
    }

    public SketchSettings getSketch() {
        return sketch;
    }

    public DoubleSparsitySettings getDoubleSparsity() {
        return doubleSparsity;
    }

    public TwilightSettings getTwilight() {
        return twilight;
    }

    public VAttentionSettings getVattention() {
        return vattention;
    }

    public StreamingLlmSettings getStreamingLlm() {
        return streamingLlm;
    }

    public H2oSettings getH2o() {
        return h2o;
    }

    public SnapKvSettings getSnapkv() {
        return snapkv;
    }

    public RandomSettings getRandom() {
        return random;
    }

    /** Settings of the attention method quest. */
    public static class QuestSettings {

        /** What a page's score is made of: bounds (an upper limit from each dimension's least and greatest value) or moments (mean and variance of each dimension). */
        private Quest.Score score = Quest.Score.MOMENTS;

        /** Numbers that what a score is made of is stored in: bf16, or fp8 in half the memory, with which a GPU is faster. */
        private Quest.Statistics statistics = Quest.Statistics.BF16;

        public Quest.Score getScore() {
            return score;
        }

        public void setScore(Quest.Score score) {
            this.score = score;
        }

        public Quest.Statistics getStatistics() {
            return statistics;
        }

        public void setStatistics(Quest.Statistics statistics) {
            this.statistics = statistics;
        }
    }

    /** Settings of the attention method sketch. */
    public static class SketchSettings {

        /** Share of the pages that one-bit keys leave over for the second look, between 0 (none) and 1. If not set, 0.125 where less than 6 % of the pages are read, else 0. */
        private Double coarse;

        public Double getCoarse() {
            return coarse;
        }

        public void setCoarse(Double coarse) {
            this.coarse = coarse;
        }
    }

    /** Settings of the attention method double-sparsity. */
    public static class DoubleSparsitySettings {

        /** Dimensions of the keys by which tokens are ranked, a multiple of 8. */
        private Integer channels = 16;

        public Integer getChannels() {
            return channels;
        }

        public void setChannels(Integer channels) {
            this.channels = channels;
        }
    }

    /** Settings of the attention method twilight. */
    public static class TwilightSettings {

        /** Method that finds the tokens to prune: sketch, quest, double-sparsity, oracle, random, or dense for all tokens. */
        private String base = "sketch";

        /** Share of the attention to keep, above 0 and at most 1. */
        private Double p = 0.95;

        /** Where the shares come from: int4 (a copy of the keys in 4 bits) or exact (the keys themselves, for evaluation). */
        private Twilight.Logits logits = Twilight.Logits.INT4;

        public String getBase() {
            return base;
        }

        public void setBase(String base) {
            this.base = base;
        }

        public Double getP() {
            return p;
        }

        public void setP(Double p) {
            this.p = p;
        }

        public Twilight.Logits getLogits() {
            return logits;
        }

        public void setLogits(Twilight.Logits logits) {
            this.logits = logits;
        }
    }

    /** Settings of the attention method vattention. */
    public static class VAttentionSettings {

        /** Method that finds the tokens that are read whole: sketch, quest, double-sparsity, oracle or random. */
        private String base = "sketch";

        /** Relative error that is promised, above 0 and below 1. */
        private Double epsilon = 0.05;

        /** Probability of a larger error, above 0 and below 1. */
        private Double delta = 0.05;

        /** What the error is that of: denominator, numerator or both. */
        private VAttention.Verify verify = VAttention.Verify.DENOMINATOR;

        /** Share of the remaining tokens that is drawn first, to find out how much they vary, above 0 and at most 1. */
        private Double pilot = 0.05;

        /** Seed of the random numbers. */
        private Long seed = 0L;

        public String getBase() {
            return base;
        }

        public void setBase(String base) {
            this.base = base;
        }

        public Double getEpsilon() {
            return epsilon;
        }

        public void setEpsilon(Double epsilon) {
            this.epsilon = epsilon;
        }

        public Double getDelta() {
            return delta;
        }

        public void setDelta(Double delta) {
            this.delta = delta;
        }

        public VAttention.Verify getVerify() {
            return verify;
        }

        public void setVerify(VAttention.Verify verify) {
            this.verify = verify;
        }

        public Double getPilot() {
            return pilot;
        }

        public void setPilot(Double pilot) {
            this.pilot = pilot;
        }

        public Long getSeed() {
            return seed;
        }

        public void setSeed(Long seed) {
            this.seed = seed;
        }
    }

    /** Settings of the attention method streaming-llm. */
    public static class StreamingLlmSettings {

        /** First tokens of the sequence that are never dropped. */
        private Integer sinks = 4;

        public Integer getSinks() {
            return sinks;
        }

        public void setSinks(Integer sinks) {
            this.sinks = sinks;
        }
    }

    /** Settings of the attention method h2o. */
    public static class H2oSettings {

        /** Share of the budget that goes to the latest tokens, 0 to 1. */
        private Double recent = 0.5;

        public Double getRecent() {
            return recent;
        }

        public void setRecent(Double recent) {
            this.recent = recent;
        }
    }

    /** Settings of the attention method snapkv. */
    public static class SnapKvSettings {

        /** Last tokens of the prompt, whose queries vote on what is kept. */
        private Integer window = 64;

        /** Tokens over which votes are averaged, an odd number. */
        private Integer kernel = 7;

        public Integer getWindow() {
            return window;
        }

        public void setWindow(Integer window) {
            this.window = window;
        }

        public Integer getKernel() {
            return kernel;
        }

        public void setKernel(Integer kernel) {
            this.kernel = kernel;
        }
    }

    /** Settings of the attention method random. */
    public static class RandomSettings {

        /** Seed of the random numbers. */
        private Long seed = 0L;

        public Long getSeed() {
            return seed;
        }

        public void setSeed(Long seed) {
            this.seed = seed;
        }
    }
}
