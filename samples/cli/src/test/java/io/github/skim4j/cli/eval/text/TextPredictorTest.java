package io.github.skim4j.cli.eval.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.skim4j.cli.eval.text.TextPredictor.Prediction;
import io.github.skim4j.engine.AttentionStats;
import io.github.skim4j.engine.attention.Budget;
import io.github.skim4j.engine.attention.Dense;
import io.github.skim4j.engine.attention.EvictionMethod;
import io.github.skim4j.engine.attention.H2o;
import io.github.skim4j.engine.attention.StreamingLlm;
import io.github.skim4j.engine.backend.Backend;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.kv.KvSequence;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class TextPredictorTest {

    private static final int[] TOKENS = IntStream.range(0, 100).map(i -> i % 10).toArray();

    private final CountingBackend backend = new CountingBackend();
    private final TextPredictor predictor = new TextPredictor(backend, 8);

    @Test
    void lossIsTheNegativeLogOfTheTokensProbability() {
        assertThat(TextPredictor.loss(new float[] {0, 0, 0, 0}, 2)).isCloseTo(Math.log(4), within(1e-9));
        assertThat(TextPredictor.loss(new float[] {1000, 0}, 0)).isCloseTo(0, within(1e-9));
        assertThat(TextPredictor.loss(new float[] {1000, 0}, 1)).isCloseTo(1000, within(1e-9));
    }

    @Test
    void predictsEachOfTheLastTokensFromTheOneBefore() {
        Prediction prediction = predictor.predict(TOKENS, 20, new StreamingLlm(Budget.ofTokens(40), 4));
        // The backend's probability of the right token is 1/2.
        assertThat(prediction.loss()).isCloseTo(Math.log(2), within(1e-6));
        assertThat(backend.dense).isEqualTo(79);
        assertThat(backend.sparse).isEqualTo(20);
        assertThat(prediction.read().density()).isEqualTo(0.5);
    }

    @Test
    void theDensePartIsComputedOnceUnlessAMethodMovesIt() {
        predictor.predict(TOKENS, 20, new Dense());
        int first = backend.dense;
        assertThat(first).isEqualTo(99);
        predictor.predict(TOKENS, 20, new StreamingLlm(Budget.ofTokens(40), 4));
        // 79 tokens are nine pages of eight and seven more.
        assertThat(backend.dense - first).isEqualTo(7);
        predictor.predict(TOKENS, 20, new H2o(Budget.ofTokens(40), 0.5));
        assertThat(backend.dense - first).isEqualTo(7 + 79);
    }

    /** Gives the token after the last one, in the numbers from 0 to 9, half of the probability. */
    private static final class CountingBackend implements Backend {

        int dense;
        int sparse;

        @Override
        public String device() {
            return "a test";
        }

        @Override
        public int pages() {
            return 40;
        }

        @Override
        public List<SpanResult> forward(List<Span> spans) {
            List<SpanResult> results = new ArrayList<>();
            for (Span span : spans) {
                boolean isDense = span.attention() instanceof Dense;
                dense += isDense ? span.count() : 0;
                sparse += isDense ? 0 : span.count();
                float[] logits = new float[10];
                int last = span.tokens()[span.from() + span.count() - 1];
                logits[(last + 1) % 10] = (float) Math.log(9);
                results.add(new SpanResult(
                        span.logits() == Span.Logits.LAST ? new float[][] {logits} : new float[0][],
                        -1,
                        isDense ? AttentionStats.NONE : AttentionStats.ofTokens(1, 2, 0)));
            }
            return results;
        }

        @Override
        public void evict(KvSequence sequence, EvictionMethod method, int keep) {}

        @Override
        public void close() {}
    }
}
