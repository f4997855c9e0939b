package io.github.skim4j.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.skim4j.engine.Engine;
import io.github.skim4j.engine.EngineConfig;
import io.github.skim4j.engine.Generation;
import io.github.skim4j.engine.GenerationListener;
import io.github.skim4j.engine.GenerationRequest;
import io.github.skim4j.engine.GenerationResult;
import io.github.skim4j.engine.SamplingParameters;
import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.chat.ChatMessage;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.function.LongFunction;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** The demo model answers the same on both devices. */
@Tag("gpu")
class CudaEngineTest {

    private static final List<String> CITIES = List.of(
            "Oslo", "Lima", "Kyoto", "Quito", "Turin", "Perth", "Cork", "Graz", "Bergen", "Porto", "Nice", "Bonn");

    private static EngineConfig config(String device) {
        return builder(device).build();
    }

    private static EngineConfig.Builder builder(String device) {
        return EngineConfig.builder("classpath:io/github/skim4j/demo/skim-demo-q8_0.gguf")
                .device(device)
                .contextLength(8192);
    }

    private static List<GenerationRequest> requests(LongFunction<SamplingParameters> sampling) {
        return requests(sampling, null);
    }

    /** Look-ups in a register of the given length, so that prompts cross chunks and pages. */
    private static List<GenerationRequest> requests(
            LongFunction<SamplingParameters> sampling, AttentionMethod attention) {
        List<GenerationRequest> requests = new ArrayList<>();
        for (int i = 0; i < CITIES.size(); i++) {
            String register = IntStream.range(0, CITIES.size() * (1 + i % 4))
                    .mapToObj(n -> "The code of depot " + n + " in " + CITIES.get(n % CITIES.size()) + " is "
                            + (1000 + 37 * n % 9000) + ".")
                    .collect(Collectors.joining("\n"));
            requests.add(GenerationRequest.chat(List.of(ChatMessage.user(
                            register + "\n\nWhat is the code of depot " + i + " in " + CITIES.get(i) + "?")))
                    .maxOutputTokens(24)
                    .sampling(sampling.apply(i))
                    .attention(attention)
                    .build());
        }
        return requests;
    }

    private static List<List<Integer>> answers(Engine engine, boolean together) {
        return answers(engine, together, i -> SamplingParameters.GREEDY);
    }

    private static List<List<Integer>> answers(
            Engine engine, boolean together, LongFunction<SamplingParameters> sampling) {
        List<Generation> running = new ArrayList<>();
        for (GenerationRequest request : requests(sampling)) {
            Generation generation = engine.generate(request, new GenerationListener() {});
            running.add(generation);
            if (!together) {
                generation.result().join();
            }
        }
        return running.stream()
                .map(generation -> generation.result().join())
                .map(GenerationResult::tokens)
                .toList();
    }

    @Test
    void answersAreTheCpus() {
        List<List<Integer>> expected;
        try (Engine cpu = Engine.open(config("cpu"))) {
            expected = answers(cpu, false);
        }
        try (Engine gpu = Engine.open(config("cuda"))) {
            assertThat(gpu.stats().device()).startsWith("CUDA");
            assertThat(answers(gpu, false)).isEqualTo(expected);
            assertThat(answers(gpu, true)).isEqualTo(expected);
            assertThat(gpu.stats().pagesFree()).isEqualTo(gpu.stats().pagesTotal());
        }
    }

    @Test
    void twoGpusRunAnEngineEach() {
        String unavailable = new CudaBackendProvider().unavailable(1);
        assumeTrue(unavailable == null, () -> "needs two GPUs: " + unavailable);
        try (Engine second = Engine.open(config("cuda:1"))) {
            List<List<Integer>> expected = answers(second, true);
            try (Engine first = Engine.open(config("cuda:0"))) {
                CompletableFuture<List<List<Integer>>> meanwhile =
                        CompletableFuture.supplyAsync(() -> answers(second, true));
                assertThat(answers(first, true)).isEqualTo(expected);
                assertThat(meanwhile.join()).isEqualTo(expected);
            }
            assertThat(answers(second, false)).isEqualTo(expected);
        }
    }

    @Test
    void methodsThatEvictReturnTheirPages() {
        try (Engine gpu = Engine.open(config("cuda"))) {
            List<Generation> running = new ArrayList<>();
            for (String spec :
                    List.of("streaming-llm:budget=64", "h2o:budget=25%", "tova:budget=64", "snapkv:budget=96")) {
                requests(i -> SamplingParameters.GREEDY, AttentionMethod.parse(spec))
                        .forEach(request -> running.add(gpu.generate(request, new GenerationListener() {})));
            }
            for (Generation generation : running) {
                GenerationResult result = generation.result().join();
                assertThat(result.tokens()).isNotEmpty();
                assertThat(result.attention().tokensEvicted()).isPositive();
            }
            assertThat(gpu.stats().pagesFree()).isEqualTo(gpu.stats().pagesTotal());
        }
    }

    @Test
    void selectsFromTheLengthOnThatIsWorthItUnlessMinContextIsSet() {
        AttentionMethod quest = AttentionMethod.parse("quest:budget=64,dense-layers=0");
        GenerationRequest request =
                requests(i -> SamplingParameters.GREEDY, quest).get(3);
        try (Engine gpu = Engine.open(config("cuda"));
                Engine always = Engine.open(builder("cuda").minContext(0).build())) {
            assertThat(density(gpu, request)).isEqualTo(1);
            assertThat(density(always, request)).isLessThan(0.5);
        }
    }

    private static double density(Engine engine, GenerationRequest request) {
        Generation generation = engine.generate(request, new GenerationListener() {});
        return generation.result().join().attention().density();
    }

    @Test
    void aSeedGivesTheSameTextWhateverElseRuns() {
        LongFunction<SamplingParameters> sampling =
                seed -> new SamplingParameters(1.3, 200, 0.98, 0.001, 1, 0, 0, seed);
        try (Engine gpu = Engine.open(config("cuda"))) {
            List<List<Integer>> alone = answers(gpu, false, sampling);
            assertThat(answers(gpu, false, sampling)).isEqualTo(alone);
            assertThat(answers(gpu, true, sampling)).isEqualTo(alone);
            assertThat(answers(gpu, true, seed -> sampling.apply(seed + 1000))).isNotEqualTo(alone);
        }
    }
}
