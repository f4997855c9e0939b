package io.github.skim4j.engine.golden;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.skim4j.engine.model.ModelFile;
import io.github.skim4j.engine.tokenizer.Tokenizer;
import io.github.skim4j.engine.tokenizer.Tokenizers;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import org.assertj.core.api.SoftAssertions;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** SmolLM2-135M-Instruct from a GGUF of Q4_1 and Q8_0 tensors. */
class SmolLm2GoldenTest extends ChatGoldens {

    private static final Logger LOG = LoggerFactory.getLogger(SmolLm2GoldenTest.class);
    private static final String FOLDER = "smollm2-135m-instruct";

    /** Mean negative log-likelihood of a text by ranges {@code from-to} of the predicted tokens' positions. */
    @JsonIgnoreProperties(ignoreUnknown = true)
    record Perplexity(
            int tokens,
            @JsonProperty("ids_head") int[] firstIds,
            @JsonProperty("mean_nll_by_token_range") LinkedHashMap<String, Double> byRange) {}

    @Override
    Path modelPath() {
        return Shared.cached(FOLDER + "/SmolLM2-135M-Instruct.Q4_1.gguf");
    }

    @Override
    Path goldensFile() {
        return Shared.file("models/" + FOLDER + "/goldens.jsonl");
    }

    @Test
    @Tag("slow")
    void perplexity() throws IOException {
        Path folder = Shared.file("models/" + FOLDER);
        Perplexity expected =
                new ObjectMapper().readValue(folder.resolve("perplexity.json").toFile(), Perplexity.class);
        double[] nll = new double[expected.tokens() - 1];
        try (ModelFile model = ModelFile.open(modelPath());
                Tokenizer tokenizer = Tokenizers.of(model.tokenizer());
                Runner runner = new Runner(model, expected.tokens())) {
            int[] tokens =
                    Arrays.copyOf(tokenizer.encode(Files.readString(folder.resolve("prose.txt"))), expected.tokens());
            assertThat(tokens).startsWith(expected.firstIds());
            runner.appendAll(tokens, (i, logits) -> {
                if (i < nll.length) {
                    nll[i] = negativeLogLikelihood(logits, tokens[i + 1]);
                }
            });
        }

        SoftAssertions.assertSoftly(softly -> {
            for (Map.Entry<String, Double> range : expected.byRange().entrySet()) {
                String[] ends = range.getKey().split("-");
                int from = Math.max(0, Integer.parseInt(ends[0]) - 1);
                int to = Integer.parseInt(ends[1]) - 1;
                double mean = Arrays.stream(nll, from, to).average().orElseThrow();
                LOG.info("mean negative log-likelihood of {}: {}, expected {}", range.getKey(), mean, range.getValue());
                softly.assertThat(mean).as(range.getKey()).isCloseTo(range.getValue(), within(1e-3));
            }
        });
    }

    private static double negativeLogLikelihood(float[] logits, int token) {
        float max = logits[Runner.argmax(logits)];
        double sum = 0;
        for (float logit : logits) {
            sum += Math.exp(logit - max);
        }
        return max + Math.log(sum) - logits[token];
    }
}
