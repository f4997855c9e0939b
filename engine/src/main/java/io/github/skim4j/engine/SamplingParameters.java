package io.github.skim4j.engine;

/**
 * How the next token is drawn from the logits. Applied in this order: penalties, temperature, top-k, top-p, min-p, draw. Without
 * penalties the device draws, and logits stay on it.
 *
 * @param temperature 0 picks the token of the highest logit (greedy); otherwise logits are divided by it
 * @param topK keep the k most probable tokens; 0 keeps all
 * @param topP keep the fewest most probable tokens whose mass reaches this; 1 keeps all
 * @param minP drop tokens less probable than this share of the most probable one; 0 drops none
 * @param repetitionPenalty divides positive and multiplies negative logits of tokens in prompt or output (CTRL,
 *     arXiv 1909.05858, section 4.1); 1 is off
 * @param frequencyPenalty subtracted from a logit for each time that the token stands in the output
 * @param presencePenalty subtracted once from the logit of each token in the output
 * @param seed same seed, model, prompt, parameters and device: same text; {@code null} draws a seed
 */
public record SamplingParameters(
        double temperature,
        int topK,
        double topP,
        double minP,
        double repetitionPenalty,
        double frequencyPenalty,
        double presencePenalty,
        Long seed) {

    public static final SamplingParameters GREEDY = new SamplingParameters(0, 0, 1, 0, 1, 0, 0, null);

    public SamplingParameters {
        require(temperature >= 0 && temperature <= 100, "temperature", temperature, "between 0 and 100");
        require(topK >= 0, "topK", topK, "0 (all tokens) or more");
        require(topP > 0 && topP <= 1, "topP", topP, "above 0 and at most 1");
        require(minP >= 0 && minP < 1, "minP", minP, "at least 0 and below 1");
        require(repetitionPenalty > 0 && repetitionPenalty <= 100, "repetitionPenalty", repetitionPenalty, "above 0");
        require(Math.abs(frequencyPenalty) <= 100, "frequencyPenalty", frequencyPenalty, "between -100 and 100");
        require(Math.abs(presencePenalty) <= 100, "presencePenalty", presencePenalty, "between -100 and 100");
    }

    private static void require(boolean valid, String name, Number value, String range) {
        if (!valid) {
            throw new IllegalArgumentException(name + " must be " + range + ", but is " + value);
        }
    }
}
