package io.github.skim4j.cuda;

import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.model.ModelConfig;

/**
 * From how many tokens on a method that selects is faster than dense attention for a sequence that is decoded alone: where memory takes
 * longer for the keys and values that the method leaves out than its kernels take to select. These are bound by their number and not by
 * what they read, so that the time is about the same on all models; the constants are what whole decode steps took on an H200.
 */
final class BreakEven {

    /** Microseconds a layer, as are all. */
    private static final double RANKING = 9.5;

    private static final double RANKING_AGAIN = 8.5;
    private static final double PRUNING = 12;
    private static final double SAMPLING = 20;

    /** Share of what ranks leave over that pruning keeps; a guess on the safe side. */
    private static final double PRUNED = 0.25;

    /** Share of the rest that is sampled, likewise. */
    private static final double SAMPLED = 0.3;

    private static final int MOST_TOKENS = 1 << 24;

    /** Between two lengths that are looked at: a sketch's second look begins at some length, and does not pay from there to another. */
    private static final double STEP = 0.9;

    private final ModelConfig config;
    private final int pageSize;
    private final int tokenBytes;
    private final double bandwidth;
    private final ReadStatistics statistics;

    /**
     * @param tokenBytes of a token's key and value of one layer and KV head
     * @param bandwidth of memory, in bytes a second
     */
    BreakEven(ModelConfig config, int pageSize, int tokenBytes, double bandwidth) {
        this.config = config;
        this.pageSize = pageSize;
        this.tokenBytes = tokenBytes;
        this.bandwidth = bandwidth;
        statistics = new ReadStatistics(config, pageSize, tokenBytes);
    }

    /** Tokens from which on it always is; 0 for methods that are not there for speed, {@link Integer#MAX_VALUE} if it never is. */
    int tokens(AttentionMethod method) {
        if (Double.isNaN(micros(RowMethod.of(method, 1, 1, pageSize)))) {
            return 0;
        }
        if (!pays(method, MOST_TOKENS)) {
            return Integer.MAX_VALUE;
        }
        int enough = MOST_TOKENS;
        int less = (int) (STEP * enough);
        while (less > 0 && pays(method, less)) {
            enough = less;
            less = (int) (STEP * enough);
        }
        while (enough - less > 1) {
            int middle = (less + enough) >>> 1;
            if (pays(method, middle)) {
                enough = middle;
            } else {
                less = middle;
            }
        }
        return enough;
    }

    private boolean pays(AttentionMethod method, int tokens) {
        double saved = 0;
        for (int layer = method.denseLayers(); layer < config.layers(); layer++) {
            int visible = Math.min(tokens, config.window(layer));
            int pages = (visible + pageSize - 1) / pageSize;
            RowMethod row = RowMethod.of(method, visible, pages, pageSize);
            double whole = (double) visible * tokenBytes * config.kvHeads();
            saved += (whole - bytes(row, whole, pages)) / bandwidth * 1e6 - micros(row);
        }
        return saved > 0;
    }

    /** What a method reads where dense attention reads {@code whole} bytes. */
    private double bytes(RowMethod row, double whole, int pages) {
        double kept = Math.min(1, (double) Math.min(row.firstPages(), row.secondPages()) / pages);
        if (row.prunes()) {
            kept *= PRUNED;
        }
        if (row.sample() != null) {
            kept += (1 - kept) * SAMPLED;
        }
        return kept * whole + statistics.selectionBytes(row, pages);
    }

    /** NaN for methods that are not there for speed. */
    private static double micros(RowMethod row) {
        double ranking = switch (row.first()) {
            case BOUNDS, MOMENTS, BOUNDS8, MOMENTS8, SKETCH, LABELS -> RANKING;
            case NONE -> row.prunes() ? 0 : Double.NaN;
            default -> Double.NaN;
        };
        return ranking
                + (row.second() != RowMethod.Rank.NONE ? RANKING_AGAIN : 0)
                + (row.prunes() ? PRUNING : 0)
                + (row.sample() != null ? SAMPLING : 0);
    }
}
