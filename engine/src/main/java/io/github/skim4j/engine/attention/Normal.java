package io.github.skim4j.engine.attention;

/** The standard normal distribution. */
final class Normal {

    private Normal() {}

    /** Φ⁻¹(p) for p in (0, 1), within 5e-4 (Abramowitz and Stegun, 26.2.23). */
    static double quantile(double p) {
        double tail = Math.min(p, 1 - p);
        double t = Math.sqrt(-2 * Math.log(tail));
        double z =
                t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)));
        return p < 0.5 ? -z : z;
    }
}
