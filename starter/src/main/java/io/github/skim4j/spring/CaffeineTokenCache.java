package io.github.skim4j.spring;

import com.github.benmanes.caffeine.cache.Cache;
import com.github.benmanes.caffeine.cache.Caffeine;
import io.github.skim4j.engine.tokenizer.TokenCache;
import java.util.function.Function;
import org.springframework.util.unit.DataSize;

/** Keeps the tokens of texts by frequency and recency of their use, within a limit of memory. */
public final class CaffeineTokenCache implements TokenCache {

    private final Cache<String, int[]> cache;

    /** @param memory for texts and tokens */
    public CaffeineTokenCache(DataSize memory) {
        cache = Caffeine.newBuilder()
                .maximumWeight(memory.toBytes())
                .weigher(CaffeineTokenCache::bytes)
                .recordStats()
                .build();
    }

    @Override
    public int[] get(String text, Function<String, int[]> encode) {
        return cache.get(text, encode);
    }

    /** The cache itself, for its statistics. */
    public Cache<String, int[]> cache() {
        return cache;
    }

    private static int bytes(String text, int[] tokens) {
        return (int) Math.min(
                Integer.MAX_VALUE, (long) Character.BYTES * text.length() + (long) Integer.BYTES * tokens.length);
    }
}
