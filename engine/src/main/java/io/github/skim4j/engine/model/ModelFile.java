package io.github.skim4j.engine.model;

import java.io.Closeable;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;

/** An opened model: a Hugging Face directory or a GGUF file. Tensors are read on demand while it is open. */
public interface ModelFile extends ModelWeights, Closeable {

    /**
     * Opens a directory with {@code config.json} and safetensors, or a {@code .gguf} file, and checks everything but the tensors'
     * values.
     *
     * @throws ModelFormatException naming file and field
     * @throws ModelNotFoundException if there is no such file
     */
    static ModelFile open(Path path) {
        if (!Files.exists(path)) {
            throw new ModelNotFoundException("no model at " + path + ": there is no such file or directory");
        }
        return Files.isDirectory(path) ? HuggingFaceLoader.open(path) : GgufLoader.open(path);
    }

    Path path();

    @Override
    default LabelChannels labelChannels() {
        return LabelChannels.readIfThere(path(), config());
    }

    /** All tensors, in the file's order. */
    List<Tensor> tensors();

    /** What the tokenizer is made from. */
    TokenizerSource tokenizer();

    SpecialTokens specialTokens();

    /** The default Jinja chat template, or {@code null} if the model has none. */
    String chatTemplate();

    GenerationDefaults generationDefaults();

    @Override
    void close();

    /** A tokenizer's data. */
    sealed interface TokenizerSource {}

    /** A {@code tokenizer.json}. */
    record TokenizerJson(Path file) implements TokenizerSource {}

    /**
     * The text of a {@code tokenizer.json} that a GGUF carries.
     *
     * @param file for messages
     */
    record TokenizerJsonText(Path file, String json) implements TokenizerSource {}

    /**
     * A GGUF's embedded vocabulary.
     *
     * @param file for messages
     * @param model {@code tokenizer.ggml.model}: {@code llama} (SentencePiece) or {@code gpt2} (byte-level BPE)
     * @param pre {@code tokenizer.ggml.pre}: name of the pre-tokenizer; may be {@code null}
     * @param scores one a token; empty for BPE
     * @param types one a token: 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte
     * @param merges pairs separated by a space; empty for SentencePiece
     * @param addSpacePrefix {@code tokenizer.ggml.add_space_prefix}, true unless it says otherwise
     */
    record GgufVocabulary(
            Path file,
            String model,
            String pre,
            List<String> tokens,
            float[] scores,
            int[] types,
            List<String> merges,
            boolean addSpacePrefix)
            implements TokenizerSource {}

    /**
     * Special tokens by name, {@code null} where the model has none.
     *
     * @param addBos a plain prompt begins with {@code bos}
     */
    record SpecialTokens(String bos, String eos, String unk, String pad, boolean addBos) {}

    /**
     * From {@code generation_config.json} or a GGUF's {@code general.sampling} keys; {@code null} where the model says nothing.
     * Values are finite and not negative, but nothing else is promised.
     *
     * @param endTokens ids that end a turn
     * @param temperature 0 if the model asks for greedy decoding
     */
    record GenerationDefaults(
            Set<Integer> endTokens,
            Double temperature,
            Integer topK,
            Double topP,
            Double minP,
            Double repetitionPenalty) {}
}
