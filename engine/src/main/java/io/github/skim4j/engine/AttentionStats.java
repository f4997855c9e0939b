package io.github.skim4j.engine;

/**
 * What the sparse part of a generation read of its KV cache, summed over the steps, layers and KV heads that an attention
 * method other than dense could thin out; the dense prefill is not counted.
 *
 * @param tokensAttended key-value pairs read
 * @param tokensTotal key-value pairs that dense attention would have read
 * @param tokensEvicted positions dropped from the cache for good
 */
public record AttentionStats(long tokensAttended, long tokensTotal, long tokensEvicted) {

    public static final AttentionStats NONE = new AttentionStats(0, 0, 0);

    /** Attended share of all tokens, 0 … 1; 1 where nothing was counted. */
    public double density() {
        return tokensTotal == 0 ? 1 : (double) tokensAttended / tokensTotal;
    }

    public AttentionStats plus(AttentionStats other) {
        return new AttentionStats(
                tokensAttended + other.tokensAttended,
                tokensTotal + other.tokensTotal,
                tokensEvicted + other.tokensEvicted);
    }
}
