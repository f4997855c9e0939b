package io.github.skim4j.engine.model;

import java.util.List;
import java.util.Locale;

/** Reads {@code config.json}, as transformers 4 and 5 write it. */
final class HuggingFaceConfig {

    private final Fields config;

    private HuggingFaceConfig(Fields config) {
        this.config = config;
    }

    static ModelConfig read(Fields config) {
        return new HuggingFaceConfig(config).read();
    }

    private ModelConfig read() {
        Architecture architecture = architecture();
        if (config.has("quantization_config")) {
            throw config.error("quantization_config", "is not supported; take the model's unquantised or GGUF version");
        }
        String activation = config.string("hidden_act");
        if (activation != null && !activation.equals("silu")) {
            throw config.error("hidden_act", "is " + activation + "; only silu is supported");
        }
        int hiddenSize = size("hidden_size");
        int heads = count("num_attention_heads");
        int layers = count("num_hidden_layers");
        int contextLength = config.integer("max_position_embeddings", 1, Integer.MAX_VALUE);
        Rope rope = rope(contextLength);
        SlidingWindow window = slidingWindow(architecture, layers);
        try {
            return new ModelConfig(
                    architecture,
                    size("vocab_size"),
                    hiddenSize,
                    size("intermediate_size"),
                    layers,
                    heads,
                    config.integer("num_key_value_heads", 1, GgufLoader.MAX_COUNT, heads),
                    config.integer("head_dim", 1, GgufLoader.MAX_SIZE, Math.max(1, hiddenSize / heads)),
                    stretched(contextLength, rope.scaling()),
                    (float) config.positive("rms_norm_eps", 1e-6),
                    rope,
                    window.tokens,
                    window.from,
                    architecture == Architecture.QWEN3,
                    config.flag("tie_word_embeddings", false));
        } catch (IllegalArgumentException e) {
            throw new ModelFormatException(config.file() + ": " + e.getMessage(), e);
        }
    }

    private int size(String key) {
        return config.integer(key, 1, GgufLoader.MAX_SIZE);
    }

    private int count(String key) {
        return config.integer(key, 1, GgufLoader.MAX_COUNT);
    }

    private Architecture architecture() {
        List<String> names = config.strings("architectures");
        String name = names.isEmpty() ? config.string("model_type") : names.get(0);
        if (name == null) {
            throw config.error("architectures", "is missing");
        }
        return switch (name) {
            case "LlamaForCausalLM", "llama" -> Architecture.LLAMA;
            case "MistralForCausalLM", "mistral" -> Architecture.MISTRAL;
            case "Qwen2ForCausalLM", "qwen2" -> Architecture.QWEN2;
            case "Qwen3ForCausalLM", "qwen3" -> Architecture.QWEN3;
            default ->
                throw config.error(
                        names.isEmpty() ? "model_type" : "architectures",
                        "is " + name + "; supported are LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM and"
                                + " Qwen3ForCausalLM");
        };
    }

    /**
     * transformers 5 keeps theta and scaling in {@code rope_parameters}; before, theta stood at the top and the scaling in {@code
     * rope_scaling}, its kind called {@code type} at first.
     */
    private Rope rope(int contextLength) {
        Fields scaling = config.object("rope_parameters");
        if (scaling == null) {
            scaling = config.object("rope_scaling");
        }
        double theta = scaling != null && scaling.has("rope_theta")
                ? scaling.positive("rope_theta")
                : config.positive("rope_theta", 10_000);
        for (Fields fields : scaling == null ? List.of(config) : List.of(config, scaling)) {
            if (fields.positive("partial_rotary_factor", 1) != 1) {
                throw fields.error("partial_rotary_factor", "below 1 is not supported");
            }
        }
        return new Rope(theta, scaling == null ? new Rope.None() : scaling(scaling, contextLength), false);
    }

    private Rope.Scaling scaling(Fields scaling, int contextLength) {
        String kindKey = scaling.has("rope_type") ? "rope_type" : "type";
        String kind = scaling.string(kindKey);
        if (kind == null || kind.equals("default")) {
            return new Rope.None();
        }
        return switch (kind.toLowerCase(Locale.ROOT)) {
            case "linear" -> new Rope.Linear(scaling.positive("factor"));
            case "dynamic" -> new Rope.Dynamic(scaling.positive("factor"), contextLength);
            case "yarn" -> yarn(scaling, originalContext(scaling, contextLength), contextLength);
            case "llama3" -> llama3(scaling, originalContext(scaling, contextLength));
            default ->
                throw scaling.error(
                        kindKey, "is " + kind + "; supported are default, linear, dynamic, yarn and llama3");
        };
    }

    private int originalContext(Fields scaling, int contextLength) {
        String key = "original_max_position_embeddings";
        return scaling.integer(key, 1, Integer.MAX_VALUE, config.integer(key, 1, Integer.MAX_VALUE, contextLength));
    }

    private Rope.Yarn yarn(Fields scaling, int originalContext, int contextLength) {
        double factor = scaling.positive("factor", (double) contextLength / originalContext);
        double attentionFactor;
        if (scaling.has("attention_factor")) {
            attentionFactor = scaling.positive("attention_factor");
        } else if (scaling.has("mscale") && scaling.has("mscale_all_dim")) {
            attentionFactor =
                    mscale(factor, scaling.number("mscale")) / mscale(factor, scaling.number("mscale_all_dim"));
        } else {
            attentionFactor = Rope.yarnAttentionFactor(factor);
        }
        return new Rope.Yarn(
                factor,
                originalContext,
                scaling.positive("beta_fast", 32),
                scaling.positive("beta_slow", 1),
                attentionFactor,
                scaling.flag("truncate", true));
    }

    private static double mscale(double factor, double weight) {
        return 1 + weight * (Rope.yarnAttentionFactor(factor) - 1);
    }

    private Rope.Llama3 llama3(Fields scaling, int originalContext) {
        double low = scaling.positive("low_freq_factor");
        double high = scaling.positive("high_freq_factor");
        if (high <= low) {
            throw scaling.error("high_freq_factor", "must be above low_freq_factor " + low + ", but is " + high);
        }
        return new Rope.Llama3(scaling.positive("factor"), low, high, originalContext);
    }

    /** Positions with the scaling: linear and dynamic configurations give the length before it, YaRN's may. */
    private static int stretched(int contextLength, Rope.Scaling scaling) {
        double length = contextLength;
        if (scaling instanceof Rope.Linear linear) {
            length *= linear.factor();
        } else if (scaling instanceof Rope.Dynamic dynamic) {
            length *= dynamic.factor();
        } else if (scaling instanceof Rope.Yarn yarn) {
            length = Math.max(length, yarn.originalContext() * yarn.factor());
        }
        return (int) Math.max(1, Math.min(Integer.MAX_VALUE, length));
    }

    private record SlidingWindow(int tokens, int from) {

        static final SlidingWindow NONE = new SlidingWindow(0, 0);
    }

    private SlidingWindow slidingWindow(Architecture architecture, int layers) {
        boolean qwen = architecture == Architecture.QWEN2 || architecture == Architecture.QWEN3;
        boolean used = qwen ? config.flag("use_sliding_window", false) : architecture == Architecture.MISTRAL;
        if (!used || !config.has("sliding_window")) {
            return SlidingWindow.NONE;
        }
        int tokens = config.integer("sliding_window", 1, Integer.MAX_VALUE);
        List<String> types = config.strings("layer_types");
        if (types.isEmpty()) {
            return new SlidingWindow(tokens, qwen ? config.integer("max_window_layers", 0, Integer.MAX_VALUE, 28) : 0);
        }
        int from = types.indexOf("sliding_attention");
        if (from < 0) {
            return SlidingWindow.NONE;
        }
        if (types.size() != layers || types.lastIndexOf("full_attention") > from) {
            throw config.error(
                    "layer_types", "must be full_attention, then sliding_attention for all " + layers + " layers");
        }
        return new SlidingWindow(tokens, from);
    }
}
