package io.github.skim4j.engine.model;

/** What a weight tensor is for, whatever the file calls it. Matrices are [out features][in features]. */
public enum TensorRole {
    /** [vocabSize][hiddenSize] */
    TOKEN_EMBEDDING,
    /** [hiddenSize] */
    OUTPUT_NORM,
    /** [vocabSize][hiddenSize]; absent where embeddings are tied */
    OUTPUT,
    /** [hiddenSize] */
    ATTENTION_NORM,
    /** [heads*headDim][hiddenSize] */
    QUERY,
    /** [kvHeads*headDim][hiddenSize] */
    KEY,
    /** [kvHeads*headDim][hiddenSize] */
    VALUE,
    /** [hiddenSize][heads*headDim] */
    ATTENTION_OUTPUT,
    QUERY_BIAS,
    KEY_BIAS,
    VALUE_BIAS,
    ATTENTION_OUTPUT_BIAS,
    /** [headDim] */
    QUERY_NORM,
    /** [headDim] */
    KEY_NORM,
    /** [hiddenSize] */
    FFN_NORM,
    /** [intermediateSize][hiddenSize] */
    GATE,
    /** [intermediateSize][hiddenSize] */
    UP,
    /** [hiddenSize][intermediateSize] */
    DOWN,
    GATE_BIAS,
    UP_BIAS,
    DOWN_BIAS
}
