package io.github.skim4j.engine.tokenizer;

import java.util.function.Function;

/** Keeps the tokens of texts that come again, such as a RAG store's chunks; implementations are thread-safe. */
@FunctionalInterface
public interface TokenCache {

    /** Computes each time. */
    TokenCache NONE = (text, encode) -> encode.apply(text);

    /** The cached tokens of {@code text}, or those of {@code encode}. The array must not be changed. */
    int[] get(String text, Function<String, int[]> encode);
}
