package io.github.skim4j.engine.tokenizer;

import java.util.List;

/**
 * Encodes prompts part by part, so that what comes again (a system message, a RAG store's chunk) is found in a cache wherever it
 * stands. The ids are those of the whole text.
 */
public final class PromptEncoder {

    private final Tokenizer tokenizer;
    private final TokenCache cache;

    public PromptEncoder(Tokenizer tokenizer, TokenCache cache) {
        this.tokenizer = tokenizer;
        this.cache = cache;
    }

    /** Token ids of {@code text}, as {@link Tokenizer#encode} gives them. */
    public int[] encode(String text) {
        if (cache == TokenCache.NONE) {
            return tokenizer.encode(text);
        }
        List<int[]> parts = tokenizer.split(text).stream()
                .map(part -> cache.get(part, tokenizer::encode))
                .toList();
        int[] ids = new int[parts.stream().mapToInt(part -> part.length).sum()];
        int length = 0;
        for (int[] part : parts) {
            System.arraycopy(part, 0, ids, length, part.length);
            length += part.length;
        }
        return ids;
    }
}
