package io.github.skim4j.engine.attention;

/**
 * What a selecting method reads without asking its score, beside the page that is being filled.
 *
 * @param sinks first tokens of the sequence
 * @param recent latest tokens
 * @param denseLayers layers from the first on that read everything
 * @param reuseInterval decoded tokens that a ranking of pages serves: those after the one that it was made for read the same pages and
 *     newer ones ("reusable page selection" of LServe, arXiv 2502.14866); 1: each token ranks them. Tokens of one step rank each for itself
 */
public record Always(int sinks, int recent, int denseLayers, int reuseInterval) {

    public static final int DEFAULT_SINKS = 4;
    public static final int DEFAULT_RECENT = 16;
    public static final int DEFAULT_DENSE_LAYERS = 2;
    public static final int DEFAULT_REUSE_INTERVAL = 1;
    public static final Always DEFAULT = new Always(DEFAULT_SINKS, DEFAULT_RECENT, DEFAULT_DENSE_LAYERS);

    public Always {
        Checks.requireNotNegative(sinks, "sinks");
        Checks.requireNotNegative(recent, "recent");
        Checks.requireNotNegative(denseLayers, "dense-layers");
        if (reuseInterval < 1) {
            throw new IllegalArgumentException("reuse-interval must be 1 or more, but is " + reuseInterval);
        }
    }

    /** With {@link #DEFAULT_REUSE_INTERVAL}. */
    public Always(int sinks, int recent, int denseLayers) {
        this(sinks, recent, denseLayers, DEFAULT_REUSE_INTERVAL);
    }

    String spec() {
        return "sinks=" + sinks + ",recent=" + recent + ",dense-layers=" + denseLayers
                + (reuseInterval == DEFAULT_REUSE_INTERVAL ? "" : ",reuse-interval=" + reuseInterval);
    }
}
