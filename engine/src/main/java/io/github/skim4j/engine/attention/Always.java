package io.github.skim4j.engine.attention;

/**
 * What a selecting method reads without asking its score, beside the page that is being filled.
 *
 * @param sinks first tokens of the sequence
 * @param recent latest tokens
 * @param denseLayers layers from the first on that read everything
 */
public record Always(int sinks, int recent, int denseLayers) {

    public static final int DEFAULT_SINKS = 4;
    public static final int DEFAULT_RECENT = 16;
    public static final int DEFAULT_DENSE_LAYERS = 2;
    public static final Always DEFAULT = new Always(DEFAULT_SINKS, DEFAULT_RECENT, DEFAULT_DENSE_LAYERS);

    public Always {
        Checks.requireNotNegative(sinks, "sinks");
        Checks.requireNotNegative(recent, "recent");
        Checks.requireNotNegative(denseLayers, "dense-layers");
    }

    String spec() {
        return "sinks=" + sinks + ",recent=" + recent + ",dense-layers=" + denseLayers;
    }
}
