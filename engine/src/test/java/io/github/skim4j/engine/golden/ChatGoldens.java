package io.github.skim4j.engine.golden;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.MappingIterator;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.skim4j.engine.model.ModelFile;
import io.github.skim4j.engine.tokenizer.Tokenizer;
import io.github.skim4j.engine.tokenizer.Tokenizers;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A trained model's chats against transformers in float32: token ids, next-token logits, greedy continuations. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
abstract class ChatGoldens {

    private static final Logger LOG = LoggerFactory.getLogger(ChatGoldens.class);
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final int CONTEXT_LENGTH = 2048;
    private static final double TOLERANCE = 1e-3;
    /** A choice between logits closer than this may go either way on another code path. */
    private static final float CLEAR_GAP = 0.02f;

    private ModelFile model;
    private Tokenizer tokenizer;
    private Runner runner;
    private List<Chat> chats;

    /** One line of a goldens file. */
    @JsonIgnoreProperties(ignoreUnknown = true)
    record Chat(
            String name,
            String prompt,
            @JsonProperty("prompt_ids") int[] promptIds,
            @JsonProperty("top10_next") List<float[]> topLogits,
            @JsonProperty("continuation_ids") int[] continuation,
            @JsonProperty("top2_gaps") float[] gaps) {

        @Override
        public String toString() {
            return name;
        }

        /** Tokens of the continuation that do not depend on rounding. */
        int[] clearContinuation() {
            int count = 0;
            while (count < continuation.length && gaps[count] >= CLEAR_GAP) {
                count++;
            }
            return Arrays.copyOf(continuation, count);
        }
    }

    abstract Path modelPath();

    abstract Path goldensFile();

    @BeforeAll
    void open() throws IOException {
        Path path = modelPath();
        try (MappingIterator<Chat> lines =
                JSON.readerFor(Chat.class).readValues(goldensFile().toFile())) {
            chats = lines.readAll();
        }
        model = ModelFile.open(path);
        tokenizer = Tokenizers.of(model.tokenizer());
        runner = new Runner(model, CONTEXT_LENGTH);
    }

    @AfterAll
    void close() {
        if (runner != null) {
            runner.close();
        }
        if (tokenizer != null) {
            tokenizer.close();
        }
        if (model != null) {
            model.close();
        }
    }

    List<Chat> chats() {
        return chats;
    }

    @ParameterizedTest
    @MethodSource("chats")
    void tokenIds(Chat chat) {
        assertThat(tokenizer.encode(chat.prompt())).isEqualTo(chat.promptIds());
    }

    @ParameterizedTest
    @MethodSource("chats")
    void logitsAndContinuation(Chat chat) {
        runner.restart();
        float[] logits = runner.append(chat.promptIds());

        double worst = 0;
        for (float[] expected : chat.topLogits()) {
            float actual = logits[(int) expected[0]];
            worst = Math.max(worst, Math.abs(actual - expected[1]));
        }
        LOG.info("{}: largest error of the ten highest logits is {}", chat.name(), worst);
        assertThat(worst).as("largest error of the ten highest logits").isLessThan(TOLERANCE);

        int[] expected = chat.clearContinuation();
        int[] continuation = new int[expected.length];
        for (int i = 0; i < continuation.length; i++) {
            continuation[i] = Runner.argmax(logits);
            logits = runner.append(continuation[i]);
        }
        assertThat(continuation).isEqualTo(expected);
    }
}
