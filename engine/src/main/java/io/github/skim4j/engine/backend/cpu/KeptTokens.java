package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.attention.EvictionMethod;
import io.github.skim4j.engine.attention.H2o;
import io.github.skim4j.engine.attention.SnapKv;
import java.util.Arrays;
import java.util.BitSet;

/** Which of a KV head's tokens an evicting method keeps: those of the highest rank. */
final class KeptTokens {

    /** Rank of tokens that stay whatever the others are. */
    private static final float ALWAYS = Float.POSITIVE_INFINITY;

    /** Rank of tokens that no later query can see; attention is never below 0. */
    private static final float NEVER = -1;

    private KeptTokens() {}

    /**
     * @param attention observed for the token in each slot, not below 0
     * @param positions of the token in each slot, no two the same
     * @param count slots in use
     * @param length position of the next token
     * @param window positions that a query sees, its own included
     * @param keep fewer than {@code count}
     * @return slots of the {@code keep} tokens to keep
     */
    static BitSet choose(
            EvictionMethod method, float[] attention, int[] positions, int count, int length, int window, int keep) {
        float[] ranks;
        int recent;
        if (method instanceof SnapKv snapKv) {
            // Before the first eviction neighbouring slots are neighbouring positions.
            ranks = pooled(attention, count - snapKv.window(), snapKv.kernel(), count);
            recent = snapKv.window();
        } else {
            ranks = Arrays.copyOf(attention, count);
            recent = method instanceof H2o h2o ? (int) (h2o.recent() * keep) : 0;
        }
        for (int i = 0; i < count; i++) {
            if (positions[i] <= length - window) {
                ranks[i] = NEVER;
            } else if (positions[i] >= length - recent) {
                ranks[i] = ALWAYS;
            }
        }
        return highest(ranks, positions, count, keep);
    }

    /** Mean of each of the first {@code end} values and its neighbours in a kernel; values outside count as 0. */
    private static float[] pooled(float[] values, int end, int kernel, int size) {
        float[] result = new float[size];
        for (int i = 0; i < end; i++) {
            for (int j = Math.max(0, i - kernel / 2); j <= Math.min(end - 1, i + kernel / 2); j++) {
                result[i] += values[j] / kernel;
            }
        }
        return result;
    }

    /** The {@code keep} slots of the highest ranks; of equal ones the latest tokens'. */
    private static BitSet highest(float[] ranks, int[] positions, int count, int keep) {
        BitSet kept = new BitSet(count);
        if (keep == 0) {
            return kept;
        }
        float least = Ranks.largest(ranks.clone(), count, keep);
        int greater = 0;
        int equal = 0;
        for (int i = 0; i < count; i++) {
            greater += ranks[i] > least ? 1 : 0;
            equal += ranks[i] == least ? 1 : 0;
        }
        int first =
                keep - greater == equal ? Integer.MIN_VALUE : latest(ranks, least, equal, positions, keep - greater);
        // Mostly all but one.
        kept.set(0, count);
        for (int i = 0; i < count; i++) {
            if (ranks[i] < least || ranks[i] == least && positions[i] < first) {
                kept.clear(i);
            }
        }
        return kept;
    }

    /** Position of the {@code wanted}-th latest of the {@code equal} tokens of a rank. */
    private static int latest(float[] ranks, float rank, int equal, int[] positions, int wanted) {
        int[] latest = new int[equal];
        int found = 0;
        for (int i = 0; found < equal; i++) {
            if (ranks[i] == rank) {
                latest[found++] = positions[i];
            }
        }
        Arrays.sort(latest);
        return latest[equal - wanted];
    }
}
