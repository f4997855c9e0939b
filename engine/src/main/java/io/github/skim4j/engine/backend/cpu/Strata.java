package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.backend.CounterRandom;

/**
 * Tokens 0 … tokens - 1 cut into {@code count} runs whose sizes differ by one at most, to draw from.
 *
 * @param count at most {@code tokens}
 */
record Strata(int tokens, int count, CounterRandom random) {

    private int first(int stratum) {
        return (int) ((long) stratum * tokens / count);
    }

    int size(int stratum) {
        return first(stratum + 1) - first(stratum);
    }

    int smallest() {
        return tokens / count;
    }

    /**
     * Draws {@code drawn.length} different tokens of a stratum, each set with the same probability (Fisher and Yates); a longer draw begins
     * with the shorter one's.
     */
    void draw(int stratum, int[] drawn) {
        int first = first(stratum);
        int size = size(stratum);
        for (int i = 0; i < drawn.length; i++) {
            // Positions below i of the shuffled run are drawn; where later swaps put what stood there is replayed.
            int at = i + random.nextBelow(first + i, size - i);
            for (int j = i - 1; j >= 0; j--) {
                int swapped = j + random.nextBelow(first + j, size - j);
                if (at == swapped) {
                    at = j;
                }
            }
            drawn[i] = first + at;
        }
    }
}
