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
    DOWN_BIAS;

    /** Whether each transformer block has its own. */
    public boolean perLayer() {
        return switch (this) {
            case TOKEN_EMBEDDING, OUTPUT_NORM, OUTPUT -> false;
            default -> true;
        };
    }

    /** A bias, which a model may have or not. */
    public boolean isBias() {
        return switch (this) {
            case QUERY_BIAS, KEY_BIAS, VALUE_BIAS, ATTENTION_OUTPUT_BIAS, GATE_BIAS, UP_BIAS, DOWN_BIAS -> true;
            default -> false;
        };
    }

    public boolean isNorm() {
        return switch (this) {
            case OUTPUT_NORM, ATTENTION_NORM, QUERY_NORM, KEY_NORM, FFN_NORM -> true;
            default -> false;
        };
    }

    public boolean isMatrix() {
        return !isBias() && !isNorm();
    }

    /** Out features of a matrix; 1 for a vector. */
    public int rows(ModelConfig config) {
        return switch (this) {
            case TOKEN_EMBEDDING, OUTPUT -> config.vocabSize();
            case QUERY -> config.heads() * config.headDim();
            case KEY, VALUE -> config.kvHeads() * config.headDim();
            case ATTENTION_OUTPUT, DOWN -> config.hiddenSize();
            case GATE, UP -> config.intermediateSize();
            default -> 1;
        };
    }

    /** In features of a matrix; length of a vector. */
    public int columns(ModelConfig config) {
        return switch (this) {
            case ATTENTION_OUTPUT, QUERY_BIAS -> config.heads() * config.headDim();
            case KEY_BIAS, VALUE_BIAS -> config.kvHeads() * config.headDim();
            case QUERY_NORM, KEY_NORM -> config.headDim();
            case DOWN, GATE_BIAS, UP_BIAS -> config.intermediateSize();
            default -> config.hiddenSize();
        };
    }

    /** Whether a model of this shape must have the tensor. */
    public boolean required(ModelConfig config) {
        return switch (this) {
            case OUTPUT -> !config.tiedEmbeddings();
            case QUERY_NORM, KEY_NORM -> config.qkNorm();
            default -> !isBias();
        };
    }
}
