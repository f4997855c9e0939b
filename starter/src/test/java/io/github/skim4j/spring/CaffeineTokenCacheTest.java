package io.github.skim4j.spring;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.springframework.util.unit.DataSize;

class CaffeineTokenCacheTest {

    private final AtomicInteger encoded = new AtomicInteger();

    @Test
    void encodesATextOnce() {
        CaffeineTokenCache cache = new CaffeineTokenCache(DataSize.ofKilobytes(1));

        assertThat(cache.get("a text", this::encode)).containsExactly(6);
        assertThat(cache.get("a text", this::encode)).containsExactly(6);

        assertThat(encoded).hasValue(1);
        assertThat(cache.cache().stats().hitRate()).isEqualTo(0.5);
    }

    @Test
    void staysWithinItsMemory() {
        CaffeineTokenCache cache = new CaffeineTokenCache(DataSize.ofBytes(100));

        for (int i = 0; i < 100; i++) {
            cache.get("text " + i, this::encode);
        }
        cache.cache().cleanUp();

        int bytes = cache.cache().asMap().entrySet().stream()
                .mapToInt(entry -> 2 * entry.getKey().length() + 4 * entry.getValue().length)
                .sum();
        assertThat(bytes).isPositive().isLessThanOrEqualTo(100);
    }

    @Test
    void withoutMemoryItKeepsNothing() {
        CaffeineTokenCache cache = new CaffeineTokenCache(DataSize.ofBytes(0));

        cache.get("a text", this::encode);
        cache.cache().cleanUp();
        cache.get("a text", this::encode);

        assertThat(encoded).hasValue(2);
    }

    private int[] encode(String text) {
        encoded.incrementAndGet();
        return new int[] {text.length()};
    }
}
