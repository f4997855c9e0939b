package io.github.skim4j.engine.model;

import io.github.skim4j.engine.model.ModelFile.GenerationDefaults;
import io.github.skim4j.engine.model.ModelFile.GgufVocabulary;
import io.github.skim4j.engine.model.ModelFile.SpecialTokens;
import io.github.skim4j.engine.model.ModelFile.TokenizerJson;
import io.github.skim4j.engine.model.ModelFile.TokenizerJsonText;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Objects;
import java.util.TreeSet;

/**
 * Writes an opened model as a GGUF file that llama.cpp reads, too. Configuration, tokenizer, chat template and generation
 * defaults are carried over; the tokenizer stands in ggml's keys and, so that nothing is lost, as the whole {@code
 * tokenizer.json}.
 */
public final class GgufConverter {

    private final ModelFile model;
    private final ModelConfig config;
    private final GgufWriter writer = new GgufWriter();

    private GgufConverter(ModelFile model) {
        this.model = model;
        this.config = model.config();
    }

    /**
     * Converts a model.
     *
     * @param type of matrices: F32, F16, BF16, Q8_0 or Q4_0 (embedding and output are Q8_0 then), or {@code null} as stored. Norms and
     *     biases become F32. A matrix whose rows are not whole blocks becomes F16.
     * @throws ModelFormatException if the model can't be expressed in GGUF
     * @throws IOException if the file can't be written
     */
    public static void convert(ModelFile model, Path target, TensorType type) throws IOException {
        GgufConverter converter = new GgufConverter(model);
        converter.putConfig();
        converter.putGenerationDefaults();
        converter.putTokenizer();
        converter.addTensors(type);
        converter.writer.write(target);
    }

    private String architecture() {
        return switch (config.architecture()) {
            case LLAMA, MISTRAL -> "llama";
            case QWEN2 -> "qwen2";
            case QWEN3 -> "qwen3";
        };
    }

    private void putConfig() {
        String name = architecture();
        writer.put("general.architecture", name);
        Path file = model.path().toAbsolutePath().normalize().getFileName();
        writer.put("general.name", file == null ? name : file.toString());
        writer.put("general.quantization_version", 2);
        writer.put(name + ".vocab_size", config.vocabSize());
        writer.put(name + ".context_length", config.contextLength());
        writer.put(name + ".embedding_length", config.hiddenSize());
        writer.put(name + ".block_count", config.layers());
        writer.put(name + ".feed_forward_length", config.intermediateSize());
        writer.put(name + ".attention.head_count", config.heads());
        writer.put(name + ".attention.head_count_kv", config.kvHeads());
        writer.put(name + ".attention.key_length", config.headDim());
        writer.put(name + ".attention.value_length", config.headDim());
        writer.put(name + ".attention.layer_norm_rms_epsilon", config.rmsNormEps());
        writer.put(name + ".rope.dimension_count", config.headDim());
        writer.put(name + ".rope.freq_base", (float) config.rope().theta());
        if (config.slidingWindow() > 0) {
            writer.put(name + ".attention.sliding_window", config.slidingWindow());
            writer.put(GgufLoader.SLIDING_WINDOW_FROM, config.slidingWindowFrom());
        }
        putRopeScaling(name + ".rope.scaling.");
    }

    private void putRopeScaling(String prefix) {
        Rope.Scaling scaling = config.rope().scaling();
        if (scaling instanceof Rope.Linear linear) {
            writer.put(prefix + "type", "linear");
            writer.put(prefix + "factor", (float) linear.factor());
        } else if (scaling instanceof Rope.Yarn yarn) {
            if (!yarn.truncate()) {
                throw new ModelFormatException(model.name() + ": GGUF can't express YaRN without truncation");
            }
            writer.put(prefix + "type", "yarn");
            writer.put(prefix + "factor", (float) yarn.factor());
            writer.put(prefix + "original_context_length", yarn.originalContext());
            writer.put(prefix + "yarn_beta_fast", (float) yarn.betaFast());
            writer.put(prefix + "yarn_beta_slow", (float) yarn.betaSlow());
            writer.put(
                    prefix + "attn_factor", (float) (yarn.attentionFactor() / Rope.yarnAttentionFactor(yarn.factor())));
        } else if (scaling instanceof Rope.Dynamic dynamic) {
            writer.put(GgufLoader.DYNAMIC_FACTOR, (float) dynamic.factor());
            writer.put(GgufLoader.DYNAMIC_CONTEXT, dynamic.originalContext());
        }
    }

    /** Divisors of the frequencies, where GGUF keeps them as a tensor; else {@code null}. */
    private float[] ropeDivisors() {
        if (config.rope().scaling() instanceof Rope.Factors factors) {
            return factors.divisors();
        }
        return config.rope().scaling() instanceof Rope.Llama3 llama3
                ? llama3.divisors(config.rope().theta(), config.headDim())
                : null;
    }

    private void putGenerationDefaults() {
        GenerationDefaults defaults = model.generationDefaults();
        putFloat("general.sampling.temp", defaults.temperature());
        if (defaults.topK() != null) {
            writer.put("general.sampling.top_k", defaults.topK());
        }
        putFloat("general.sampling.top_p", defaults.topP());
        putFloat("general.sampling.min_p", defaults.minP());
        putFloat("general.sampling.penalty_repeat", defaults.repetitionPenalty());
    }

    private void putFloat(String key, Double value) {
        if (value != null) {
            writer.put(key, value.floatValue());
        }
    }

    private void putTokenizer() throws IOException {
        ModelFile.TokenizerSource source = model.tokenizer();
        GgufVocabulary vocabulary;
        if (source instanceof GgufVocabulary embedded) {
            vocabulary = embedded;
        } else {
            String json = source instanceof TokenizerJsonText text
                    ? text.json()
                    : HuggingFaceVocabulary.read(((TokenizerJson) source).file());
            vocabulary = HuggingFaceVocabulary.parse(model.path(), json, config.vocabSize());
            writer.put(GgufLoader.TOKENIZER_JSON, json);
        }
        writer.put("tokenizer.ggml.model", vocabulary.model());
        if (vocabulary.pre() != null) {
            writer.put("tokenizer.ggml.pre", vocabulary.pre());
        }
        writer.put("tokenizer.ggml.tokens", vocabulary.tokens());
        if (vocabulary.scores().length > 0) {
            writer.put("tokenizer.ggml.scores", vocabulary.scores());
        }
        writer.put("tokenizer.ggml.token_type", vocabulary.types());
        if (vocabulary.model().equals("gpt2")) {
            writer.put("tokenizer.ggml.merges", vocabulary.merges());
        }
        SpecialTokens special = model.specialTokens();
        putToken("bos", special.bos(), vocabulary);
        putToken("eos", special.eos(), vocabulary);
        putToken("unknown", special.unk(), vocabulary);
        putToken("padding", special.pad(), vocabulary);
        putEndTokens(special, vocabulary);
        writer.put("tokenizer.ggml.add_bos_token", special.addBos());
        writer.put("tokenizer.ggml.add_space_prefix", vocabulary.addSpacePrefix());
        if (model.chatTemplate() != null) {
            writer.put("tokenizer.chat_template", model.chatTemplate());
        }
    }

    private void putToken(String name, String token, GgufVocabulary vocabulary) {
        int id = token == null ? -1 : vocabulary.tokens().indexOf(token);
        if (id >= 0) {
            writer.put("tokenizer.ggml." + name + "_token_id", id);
        }
    }

    /** GGUF has names for three tokens that end a turn; the first is {@code eos}. */
    private void putEndTokens(SpecialTokens special, GgufVocabulary vocabulary) {
        TreeSet<Integer> ends = new TreeSet<>(model.generationDefaults().endTokens());
        int eos = special.eos() == null ? -1 : vocabulary.tokens().indexOf(special.eos());
        ends.remove(eos);
        for (String name : eos >= 0 ? new String[] {"eot", "eom"} : new String[] {"eos", "eot", "eom"}) {
            if (!ends.isEmpty()) {
                writer.put("tokenizer.ggml." + name + "_token_id", ends.pollFirst());
            }
        }
    }

    private void addTensors(TensorType type) {
        float[] divisors = ropeDivisors();
        if (divisors != null) {
            writer.add(new FloatTensor(TensorNaming.ROPE_FACTORS, divisors));
        }
        for (TensorRole role : TensorRole.values()) {
            for (int layer = 0; layer < (role.perLayer() ? config.layers() : 1); layer++) {
                Tensor tensor = model.find(role, layer);
                if (tensor != null && !(role == TensorRole.OUTPUT && config.tiedEmbeddings())) {
                    writer.add(converted(role, layer, tensor, type));
                }
            }
        }
    }

    private Tensor converted(TensorRole role, int layer, Tensor tensor, TensorType type) {
        TensorType targetType = !role.isMatrix() ? TensorType.F32 : type == null ? tensor.type() : type;
        if (targetType == TensorType.Q4_0 && (role == TensorRole.TOKEN_EMBEDDING || role == TensorRole.OUTPUT)) {
            targetType = TensorType.Q8_0;
        }
        if (tensor.columns() % targetType.blockSize() != 0) {
            targetType = TensorType.F16;
        }
        return new ConvertedTensor(
                TensorNaming.GGUF.name(role, layer), targetType, tensor, isPermuted(role) ? config.headDim() : 0);
    }

    /** GGUF files of the Llama architecture want interleaved pairs; Hugging Face has the halves of a head one after the other. */
    private boolean isPermuted(TensorRole role) {
        boolean wanted = architecture().equals("llama");
        return wanted
                && !config.rope().interleaved()
                && switch (role) {
                    case QUERY, KEY, QUERY_BIAS, KEY_BIAS -> true;
                    default -> false;
                };
    }

    /** A vector of given values. */
    private record FloatTensor(String name, float[] values) implements Tensor {

        @Override
        public TensorType type() {
            return TensorType.F32;
        }

        @Override
        public int rows() {
            return 1;
        }

        @Override
        public int columns() {
            return values.length;
        }

        @Override
        public void read(int from, int count, byte[] target, int offset) {
            Objects.checkFromIndexSize(from, count, 1);
            Quantization.quantize(TensorType.F32, values, 0, target, offset, count * values.length);
        }
    }

    /**
     * A tensor as another type.
     *
     * @param headDim width of heads whose halves are interleaved, 0 to keep the order
     */
    private record ConvertedTensor(String name, TensorType type, Tensor source, int headDim) implements Tensor {

        @Override
        public int rows() {
            return source.rows();
        }

        @Override
        public int columns() {
            return source.columns();
        }

        @Override
        public void read(int from, int count, byte[] target, int offset) {
            byte[] stored = new byte[source.rowBytes()];
            float[] values = new float[columns()];
            for (int i = 0; i < count; i++) {
                source.read(rows() == 1 ? 0 : original(from + i), 1, stored, 0);
                int start = offset + i * rowBytes();
                boolean biases = rows() == 1 && headDim > 0;
                if (type == source.type() && !biases) {
                    System.arraycopy(stored, 0, target, start, stored.length);
                } else {
                    Quantization.dequantize(source.type(), stored, 0, values, 0, values.length);
                    Quantization.quantize(type, biases ? interleaved(values) : values, 0, target, start, values.length);
                }
            }
        }

        private float[] interleaved(float[] values) {
            float[] result = new float[values.length];
            for (int i = 0; i < result.length; i++) {
                result[i] = values[original(i)];
            }
            return result;
        }

        /** Where the row at a place was before: 2i + j of a head is i + j · headDim/2. */
        private int original(int row) {
            if (headDim == 0) {
                return row;
            }
            int within = row % headDim;
            return row - within + within / 2 + within % 2 * (headDim / 2);
        }
    }
}
