package io.github.skim4j.engine.attention;

/** Every token, every step. */
public record Dense() implements AttentionMethod {

    @Override
    public String name() {
        return "dense";
    }

    @Override
    public String spec() {
        return name();
    }

    /** No method other than dense gets a layer. */
    @Override
    public int denseLayers() {
        return Integer.MAX_VALUE;
    }
}
