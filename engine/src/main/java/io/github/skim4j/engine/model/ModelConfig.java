package io.github.skim4j.engine.model;

import java.nio.file.Path;
import java.util.Objects;

/**
 * The shape of a decoder-only transformer of the Llama family, the same for both file formats.
 *
 * @param architecture model family, which fixes nothing beyond what the other fields say; for messages
 * @param vocabSize rows of the token embedding
 * @param hiddenSize width of the residual stream
 * @param intermediateSize width of the feed-forward layer
 * @param layers number of transformer blocks
 * @param heads query heads
 * @param kvHeads key-value heads; divides {@code heads}
 * @param headDim width of a head; {@code heads * headDim} need not be {@code hiddenSize}
 * @param contextLength most positions that the model was made for
 * @param rmsNormEps epsilon of RMSNorm
 * @param rope rotary position embedding
 * @param slidingWindow positions a token may look back on (itself included) in layers from {@code slidingWindowFrom}; 0 is all
 * @param slidingWindowFrom first layer that has the sliding window
 * @param qkNorm RMSNorm on each query and key head before RoPE (Qwen3)
 * @param tiedEmbeddings the output projection is the token embedding
 */
public record ModelConfig(
        Architecture architecture,
        int vocabSize,
        int hiddenSize,
        int intermediateSize,
        int layers,
        int heads,
        int kvHeads,
        int headDim,
        int contextLength,
        float rmsNormEps,
        Rope rope,
        int slidingWindow,
        int slidingWindowFrom,
        boolean qkNorm,
        boolean tiedEmbeddings) {

    /** @throws IllegalArgumentException if the numbers do not make a transformer */
    public ModelConfig {
        Objects.requireNonNull(architecture, "architecture");
        Objects.requireNonNull(rope, "rope");
        requirePositive(vocabSize, "vocabSize");
        requirePositive(hiddenSize, "hiddenSize");
        requirePositive(intermediateSize, "intermediateSize");
        requirePositive(layers, "layers");
        requirePositive(heads, "heads");
        requirePositive(kvHeads, "kvHeads");
        requirePositive(headDim, "headDim");
        requirePositive(contextLength, "contextLength");
        require(heads % kvHeads == 0, "kvHeads must divide the " + heads + " heads, but is " + kvHeads);
        require(headDim % 2 == 0, "headDim must be even for RoPE, but is " + headDim);
        require((long) heads * headDim <= Integer.MAX_VALUE, heads + " heads of " + headDim + " are too many");
        require(rmsNormEps >= 0 && rmsNormEps < 1, "rmsNormEps must be from 0 to 1, but is " + rmsNormEps);
        require(slidingWindow >= 0, "slidingWindow must be 0 (none) or more, but is " + slidingWindow);
        require(slidingWindowFrom >= 0, "slidingWindowFrom must be 0 or more, but is " + slidingWindowFrom);
        if (rope.scaling() instanceof Rope.Factors factors) {
            int count = factors.divisors().length;
            require(count == headDim / 2, "RoPE must have " + headDim / 2 + " factors, but has " + count);
        }
    }

    private static void requirePositive(int value, String name) {
        require(value > 0, name + " must be 1 or more, but is " + value);
    }

    private static void require(boolean valid, String message) {
        if (!valid) {
            throw new IllegalArgumentException(message);
        }
    }

    /**
     * Reads a Hugging Face {@code config.json} on its own.
     *
     * @throws ModelFormatException naming file and field
     */
    public static ModelConfig read(Path configJson) {
        return HuggingFaceConfig.read(Json.read(configJson));
    }

    /** Query heads that share one KV head. */
    public int group() {
        return heads / kvHeads;
    }

    /** Positions that layer {@code layer} may look back on, itself included; {@link Integer#MAX_VALUE} if unlimited. */
    public int window(int layer) {
        return slidingWindow > 0 && layer >= slidingWindowFrom ? slidingWindow : Integer.MAX_VALUE;
    }
}
