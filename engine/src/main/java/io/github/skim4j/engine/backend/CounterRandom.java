package io.github.skim4j.engine.backend;

/** Counter-based random numbers: a hash of key and counter (SplitMix64's finaliser), so that a run can be repeated in any order. */
public record CounterRandom(long key) {

    private static final long GAMMA = 0x9E3779B97F4A7C15L;

    /** Numbers of a step, by the position of its token, a layer and a KV head. */
    public static CounterRandom of(long seed, int position, int layer, int kvHead) {
        long key = mix(seed + GAMMA);
        key = mix(key ^ position * GAMMA);
        return new CounterRandom(mix(key ^ ((long) layer << 32 | kvHead) * GAMMA));
    }

    /** The counter's number in [0, bound), uniform but for a bias of bound / 2^32. */
    public int nextBelow(long counter, int bound) {
        return (int) ((mix(key + counter * GAMMA) >>> 32) * bound >>> 32);
    }

    private static long mix(long value) {
        long z = value;
        z = (z ^ z >>> 30) * 0xBF58476D1CE4E5B9L;
        z = (z ^ z >>> 27) * 0x94D049BB133111EBL;
        return z ^ z >>> 31;
    }
}
