package io.github.skim4j.engine.model;

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

    /** Query heads that share one KV head. */
    public int group() {
        return heads / kvHeads;
    }

    /** Positions that layer {@code layer} may look back on, itself included; {@link Integer#MAX_VALUE} if unlimited. */
    public int window(int layer) {
        return slidingWindow > 0 && layer >= slidingWindowFrom ? slidingWindow : Integer.MAX_VALUE;
    }
}
