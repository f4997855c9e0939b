package io.github.skim4j.engine.model;

/** Model families that the engine runs. */
public enum Architecture {
    LLAMA,
    MISTRAL,
    QWEN2,
    QWEN3
}
