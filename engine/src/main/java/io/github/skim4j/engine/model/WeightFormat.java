package io.github.skim4j.engine.model;

/** Whether matrices are quantised while they are loaded. */
public enum WeightFormat {
    /** As the file has them; types that no backend computes on become Q8_0. */
    AS_STORED,
    /** F32, F16 and BF16 matrices become Q8_0. */
    Q8_0,
    /** F32, F16 and BF16 matrices become Q4_0, the embedding Q8_0. */
    Q4_0
}
