package io.github.skim4j.engine.model;

import io.github.skim4j.engine.model.ModelFile.GenerationDefaults;
import io.github.skim4j.engine.model.ModelFile.GgufVocabulary;
import io.github.skim4j.engine.model.ModelFile.SpecialTokens;
import io.github.skim4j.engine.model.ModelFile.TokenizerJsonText;
import io.github.skim4j.engine.model.ModelFile.TokenizerSource;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.IntStream;

/** Opens GGUF files. Keys are those of llama.cpp's {@code gguf-py/gguf/constants.py}. */
final class GgufLoader {

    /** Key of a whole {@code tokenizer.json}. */
    static final String TOKENIZER_JSON = "tokenizer.huggingface.json";
    // Settings of a Hugging Face configuration that GGUF has no key for.
    static final String DYNAMIC_FACTOR = "skim.rope.dynamic.factor";
    static final String DYNAMIC_CONTEXT = "skim.rope.dynamic.original_context_length";
    static final String SLIDING_WINDOW_FROM = "skim.attention.sliding_window_from";

    static final int MAX_SIZE = 1 << 24;
    static final int MAX_COUNT = 1 << 16;

    /** Tokens that end a turn in well-known chat formats, for files that name one end token alone. */
    private static final Set<String> END_OF_TURN = Set.of(
            "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|end_of_text|>");

    private static final int CONTROL = 3;
    private static final int USER_DEFINED = 4;

    private final Path path;
    private final Fields metadata;
    private final Map<String, StoredTensor> tensors;

    private GgufLoader(Path path, GgufHeader header) {
        this.path = path;
        this.metadata = header.metadata();
        this.tensors = header.tensors();
    }

    static ModelFile open(Path path) {
        ModelData data = ModelData.open(path);
        try {
            return new GgufLoader(path, GgufHeader.read(data)).load(data);
        } catch (RuntimeException e) {
            data.close();
            throw e;
        }
    }

    private ModelFile load(ModelData data) {
        if (metadata.integer("split.count", 0, MAX_COUNT, 1) > 1) {
            throw metadata.error("split.count", "says that this is a part of a model; merge the parts into one file");
        }
        ModelConfig config = config();
        Map<String, Tensor> byName = TensorNaming.GGUF.check(metadata.file(), config, tensors);
        Vocabulary vocabulary = vocabulary(config);
        return new LoadedModel(
                path,
                config,
                List.copyOf(tensors.values()),
                TensorNaming.GGUF,
                byName,
                vocabulary.source(),
                specialTokens(vocabulary),
                metadata.string("tokenizer.chat_template"),
                generationDefaults(vocabulary),
                List.of(data));
    }

    private ModelConfig config() {
        String name = metadata.string("general.architecture");
        if (name == null) {
            throw metadata.error("general.architecture", "is missing");
        }
        Architecture architecture = switch (name) {
            case "llama" -> Architecture.LLAMA;
            case "mistral" -> Architecture.MISTRAL;
            case "qwen2" -> Architecture.QWEN2;
            case "qwen3" -> Architecture.QWEN3;
            default ->
                throw metadata.error(
                        "general.architecture", "is " + name + "; supported are llama, mistral, qwen2 and qwen3");
        };
        String prefix = name + ".";
        if (metadata.integer(prefix + "expert_count", 0, MAX_COUNT, 0) > 0) {
            throw metadata.error(prefix + "expert_count", "says mixture of experts, which is not supported");
        }
        StoredTensor embedding = tensors.get(TensorNaming.GGUF.name(TensorRole.TOKEN_EMBEDDING, 0));
        if (embedding == null) {
            throw new ModelFormatException(metadata.file() + ": tensor "
                    + TensorNaming.GGUF.name(TensorRole.TOKEN_EMBEDDING, 0) + " is missing");
        }
        int hiddenSize = metadata.integer(prefix + "embedding_length", 1, MAX_SIZE);
        int heads = metadata.integer(prefix + "attention.head_count", 1, MAX_COUNT);
        int headDim = metadata.integer(prefix + "attention.key_length", 1, MAX_SIZE, Math.max(1, hiddenSize / heads));
        if (metadata.integer(prefix + "attention.value_length", 1, MAX_SIZE, headDim) != headDim) {
            throw metadata.error(prefix + "attention.value_length", "differs from the keys', which is not supported");
        }
        if (metadata.integer(prefix + "rope.dimension_count", 1, MAX_SIZE, headDim) != headDim) {
            throw metadata.error(
                    prefix + "rope.dimension_count",
                    "differs from the " + headDim + " dimensions of a head, which is not supported");
        }
        int contextLength = metadata.integer(prefix + "context_length", 1, Integer.MAX_VALUE);
        boolean interleaved = architecture == Architecture.LLAMA || architecture == Architecture.MISTRAL;
        Rope rope = new Rope(
                metadata.positive(prefix + "rope.freq_base", 10_000), ropeScaling(prefix, contextLength), interleaved);
        try {
            return new ModelConfig(
                    architecture,
                    embedding.rows(),
                    hiddenSize,
                    metadata.integer(prefix + "feed_forward_length", 1, MAX_SIZE),
                    metadata.integer(prefix + "block_count", 1, MAX_COUNT),
                    heads,
                    metadata.integer(prefix + "attention.head_count_kv", 1, MAX_COUNT, heads),
                    headDim,
                    contextLength,
                    (float) metadata.positive(prefix + "attention.layer_norm_rms_epsilon"),
                    rope,
                    metadata.integer(prefix + "attention.sliding_window", 0, Integer.MAX_VALUE, 0),
                    metadata.integer(SLIDING_WINDOW_FROM, 0, MAX_COUNT, 0),
                    architecture == Architecture.QWEN3,
                    !tensors.containsKey(TensorNaming.GGUF.name(TensorRole.OUTPUT, 0)));
        } catch (IllegalArgumentException e) {
            throw new ModelFormatException(metadata.file() + ": " + e.getMessage(), e);
        }
    }

    private Rope.Scaling ropeScaling(String prefix, int contextLength) {
        StoredTensor factors = tensors.get(TensorNaming.ROPE_FACTORS);
        if (factors != null) {
            return new Rope.Factors(ropeFactors(factors));
        }
        if (metadata.has(DYNAMIC_FACTOR)) {
            return new Rope.Dynamic(
                    metadata.positive(DYNAMIC_FACTOR), metadata.integer(DYNAMIC_CONTEXT, 1, Integer.MAX_VALUE));
        }
        String scaling = prefix + "rope.scaling.";
        String type = metadata.string(scaling + "type");
        // Files from before the type was written have the linear factor alone.
        String factorKey = type == null ? prefix + "rope.scale_linear" : scaling + "factor";
        if (type == null && metadata.has(factorKey)) {
            type = "linear";
        }
        if (type == null || type.equals("none")) {
            return new Rope.None();
        }
        double factor = metadata.positive(factorKey);
        return switch (type) {
            case "linear" -> new Rope.Linear(factor);
            case "yarn" ->
                new Rope.Yarn(
                        factor,
                        metadata.integer(scaling + "original_context_length", 1, Integer.MAX_VALUE, contextLength),
                        metadata.positive(scaling + "yarn_beta_fast", 32),
                        metadata.positive(scaling + "yarn_beta_slow", 1),
                        metadata.positive(scaling + "attn_factor", 1) * Rope.yarnAttentionFactor(factor),
                        true);
            default -> throw metadata.error(scaling + "type", "is " + type + "; supported are none, linear and yarn");
        };
    }

    private float[] ropeFactors(StoredTensor tensor) {
        if (tensor.rows() != 1 || tensor.columns() > MAX_SIZE) {
            throw new ModelFormatException(metadata.file() + ": tensor " + tensor.name() + " must be a vector");
        }
        float[] divisors = tensor.toFloats();
        for (float divisor : divisors) {
            if (!(divisor > 0) || Float.isInfinite(divisor)) {
                throw new ModelFormatException(
                        metadata.file() + ": tensor " + tensor.name() + " has the value " + divisor);
            }
        }
        return divisors;
    }

    private record Vocabulary(TokenizerSource source, String model, String pre, List<String> tokens, int[] types) {

        /** Name of the token that a key gives, or {@code null}. */
        String token(Fields metadata, String key) {
            return metadata.has(key) ? tokens.get(metadata.integer(key, 0, tokens.size() - 1)) : null;
        }

        /** The same for a token that nothing depends on: some files write -1 for none. */
        String optionalToken(Fields metadata, String key) {
            boolean known =
                    metadata.raw(key) instanceof Number id && id.longValue() >= 0 && id.longValue() < tokens.size();
            return known ? token(metadata, key) : null;
        }
    }

    private Vocabulary vocabulary(ModelConfig config) {
        String model = metadata.string("tokenizer.ggml.model");
        if (!"llama".equals(model) && !"gpt2".equals(model)) {
            throw metadata.error(
                    "tokenizer.ggml.model",
                    model == null ? "is missing" : "is " + model + "; supported are llama (SentencePiece) and gpt2");
        }
        List<String> tokens = metadata.strings("tokenizer.ggml.tokens");
        if (tokens.isEmpty() || tokens.size() > config.vocabSize()) {
            throw metadata.error(
                    "tokenizer.ggml.tokens",
                    "has " + tokens.size() + " tokens, but the embedding has " + config.vocabSize());
        }
        float[] scores = metadata.floats("tokenizer.ggml.scores");
        int[] types = metadata.integers("tokenizer.ggml.token_type");
        requireOneEach("tokenizer.ggml.scores", scores.length, tokens.size(), model.equals("llama"));
        requireOneEach("tokenizer.ggml.token_type", types.length, tokens.size(), false);
        if (types.length == 0) {
            types = IntStream.generate(() -> 1).limit(tokens.size()).toArray();
        }
        List<String> merges = metadata.strings("tokenizer.ggml.merges");
        if (!metadata.has("tokenizer.ggml.merges") && model.equals("gpt2")) {
            throw metadata.error("tokenizer.ggml.merges", "is missing");
        }
        String pre = metadata.string("tokenizer.ggml.pre");
        String json = metadata.string(TOKENIZER_JSON);
        TokenizerSource source = json != null
                ? new TokenizerJsonText(path, json)
                : new GgufVocabulary(
                        path,
                        model,
                        pre,
                        tokens,
                        scores,
                        types,
                        merges,
                        metadata.flag("tokenizer.ggml.add_space_prefix", true));
        return new Vocabulary(source, model, pre, tokens, types);
    }

    private void requireOneEach(String key, int length, int tokens, boolean required) {
        if (length != tokens && (required || length > 0)) {
            throw metadata.error(key, "has " + length + " entries for " + tokens + " tokens");
        }
    }

    private SpecialTokens specialTokens(Vocabulary vocabulary) {
        // What llama.cpp assumes where the file doesn't say.
        boolean addBos = vocabulary.model.equals("llama") || "llama-bpe".equals(vocabulary.pre);
        return new SpecialTokens(
                vocabulary.token(metadata, "tokenizer.ggml.bos_token_id"),
                vocabulary.token(metadata, "tokenizer.ggml.eos_token_id"),
                vocabulary.optionalToken(metadata, "tokenizer.ggml.unknown_token_id"),
                vocabulary.optionalToken(metadata, "tokenizer.ggml.padding_token_id"),
                metadata.flag("tokenizer.ggml.add_bos_token", addBos));
    }

    private GenerationDefaults generationDefaults(Vocabulary vocabulary) {
        Set<Integer> endTokens = new TreeSet<>();
        int vocabSize = vocabulary.tokens.size();
        for (String key : List.of("eos", "eot", "eom")) {
            metadata.tokens("tokenizer.ggml." + key + "_token_id", vocabSize).forEach(endTokens::add);
        }
        for (int id = 0; id < vocabSize; id++) {
            int type = vocabulary.types[id];
            if ((type == CONTROL || type == USER_DEFINED) && END_OF_TURN.contains(vocabulary.tokens.get(id))) {
                endTokens.add(id);
            }
        }
        String sampling = "general.sampling.";
        return new GenerationDefaults(
                Set.copyOf(endTokens),
                metadata.optionalNumber(sampling + "temp", 0),
                metadata.has(sampling + "top_k") ? metadata.integer(sampling + "top_k", 0, Integer.MAX_VALUE) : null,
                metadata.optionalNumber(sampling + "top_p", 0),
                metadata.optionalNumber(sampling + "min_p", 0),
                metadata.optionalNumber(sampling + "penalty_repeat", 0));
    }
}
