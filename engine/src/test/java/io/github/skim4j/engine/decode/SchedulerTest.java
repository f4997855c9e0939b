package io.github.skim4j.engine.decode;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import io.github.skim4j.engine.EngineClosedException;
import io.github.skim4j.engine.EngineObserver;
import io.github.skim4j.engine.FinishReason;
import io.github.skim4j.engine.GenerationListener;
import io.github.skim4j.engine.GenerationResult;
import io.github.skim4j.engine.QueueFullException;
import io.github.skim4j.engine.SamplingParameters;
import io.github.skim4j.engine.SchedulerConfig;
import io.github.skim4j.engine.SkimException;
import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.attention.Budget;
import io.github.skim4j.engine.attention.Dense;
import io.github.skim4j.engine.attention.EvictionMethod;
import io.github.skim4j.engine.attention.H2o;
import io.github.skim4j.engine.attention.SnapKv;
import io.github.skim4j.engine.attention.StreamingLlm;
import io.github.skim4j.engine.attention.Tova;
import io.github.skim4j.engine.backend.BackendException;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.kv.KvCacheConfig;
import io.github.skim4j.engine.kv.KvCacheConfig.KvType;
import io.github.skim4j.engine.kv.KvCacheFullException;
import io.github.skim4j.engine.tokenizer.Tokenizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(60)
class SchedulerTest {

    private static final int PAGE = 8;

    private final ExecutorService delivery = Executors.newCachedThreadPool();
    private FakeBackend backend;
    private Scheduler scheduler;

    @AfterEach
    void close() {
        if (scheduler != null) {
            scheduler.close();
        }
        delivery.shutdownNow();
    }

    private void start(int pages, SchedulerConfig config) {
        start(pages, config, true);
    }

    private void start(int pages, SchedulerConfig config, boolean prefixCache) {
        backend = new FakeBackend(pages, PAGE);
        scheduler = new Scheduler(backend, new KvCacheConfig(PAGE, KvType.BF16, 0, prefixCache), config);
    }

    private ActiveGeneration generation(
            int[] prompt, int max, AttentionMethod attention, int denseTokens, GenerationListener listener) {
        return generation(prompt, max, attention, denseTokens, 0, listener);
    }

    private ActiveGeneration generation(
            int[] prompt,
            int max,
            AttentionMethod attention,
            int denseTokens,
            int minContext,
            GenerationListener listener) {
        return new ActiveGeneration(
                new ActiveGeneration.Task(
                        prompt,
                        max,
                        new Sampler(SamplingParameters.GREEDY, prompt),
                        new StopMatcher(List.of()),
                        new LetterDecoder(),
                        Set.of(),
                        attention,
                        denseTokens,
                        minContext),
                listener,
                EngineObserver.NONE,
                delivery,
                scheduler::wake);
    }

    private ActiveGeneration submit(int[] prompt, int max) {
        return submit(prompt, max, new GenerationListener() {});
    }

    private ActiveGeneration submit(int[] prompt, int max, GenerationListener listener) {
        ActiveGeneration generation = generation(prompt, max, new Dense(), prompt.length, listener);
        scheduler.submit(generation);
        return generation;
    }

    private static int[] prompt(Random random, int length) {
        return random.ints(length, 0, FakeBackend.VOCAB).toArray();
    }

    /** What the fake model answers when it is alone. */
    private static List<Integer> expected(int[] prompt, int count) {
        List<Integer> all = new ArrayList<>(Arrays.stream(prompt).boxed().toList());
        for (int i = 0; i < count; i++) {
            all.add(FakeBackend.next(all));
        }
        return all.subList(prompt.length, all.size());
    }

    @RepeatedTest(20)
    void eachGetsItsOwnAnswerWhateverTheBatchAndThePages() throws Exception {
        long seed = System.nanoTime();
        Random random = new Random(seed);
        // At times too few pages for all at once, so that generations are computed anew.
        start(
                24 + random.nextInt(60),
                new SchedulerConfig(1 + random.nextInt(6), 1 + random.nextInt(40), 100),
                random.nextBoolean());
        int[] common = prompt(random, 100);
        List<int[]> prompts = new ArrayList<>();
        List<Integer> counts = new ArrayList<>();
        List<ActiveGeneration> generations = new ArrayList<>();
        for (int i = 0; i < 15; i++) {
            int[] prompt = prompt(random, 1 + random.nextInt(100));
            System.arraycopy(common, 0, prompt, 0, random.nextInt(prompt.length + 1));
            prompts.add(prompt);
            counts.add(1 + random.nextInt(60));
            generations.add(submit(prompts.get(i), counts.get(i)));
        }
        for (int i = 0; i < 15; i++) {
            GenerationResult result = generations.get(i).result().get(30, TimeUnit.SECONDS);
            assertThat(result.tokens())
                    .as("request %s, seed %s", i, seed)
                    .isEqualTo(expected(prompts.get(i), counts.get(i)));
            assertThat(result.finishReason()).isEqualTo(FinishReason.LENGTH);
        }
        assertThat(scheduler.stats(null).pagesFree()).isEqualTo(backend.pages());
        assertThat(scheduler.stats(null).completed()).isEqualTo(15);
    }

    @RepeatedTest(20)
    void answersAreTheSameWithAndWithoutThePrefixCache() throws Exception {
        long seed = System.nanoTime();
        List<List<Integer>> answers = new ArrayList<>();
        for (boolean prefixCache : List.of(false, true)) {
            Random random = new Random(seed);
            start(25 + random.nextInt(60), new SchedulerConfig(1 + random.nextInt(6), 16, 100), prefixCache);
            int[] document = prompt(random, 120);
            List<ActiveGeneration> generations = new ArrayList<>();
            for (int i = 0; i < 12; i++) {
                int[] prompt = Arrays.copyOf(document, 1 + random.nextInt(document.length));
                AttentionMethod method = random.nextBoolean()
                        ? new Dense()
                        : new StreamingLlm(Budget.ofTokens(1 + random.nextInt(40)), 0);
                int dense = random.nextInt(prompt.length + 1);
                generations.add(generation(prompt, 1 + random.nextInt(40), method, dense, new GenerationListener() {}));
                scheduler.submit(generations.get(i));
                if (random.nextBoolean()) {
                    generations.get(i).result().get(30, TimeUnit.SECONDS);
                }
            }
            for (int i = 0; i < 12; i++) {
                GenerationResult result = generations.get(i).result().get(30, TimeUnit.SECONDS);
                if (prefixCache) {
                    assertThat(result.tokens())
                            .as("request %s, seed %s", i, seed)
                            .isEqualTo(answers.get(i));
                } else {
                    answers.add(result.tokens());
                    assertThat(result.cachedTokens()).isZero();
                }
            }
            assertThat(scheduler.stats(null).pagesFree()).as("seed %s", seed).isEqualTo(backend.pages());
            scheduler.close();
        }
    }

    @Test
    void aPromptBeginsWithThePagesOfAnEarlierOne() throws Exception {
        start(40, SchedulerConfig.DEFAULT);
        int[] document = prompt(new Random(7), 80);
        assertThat(submit(document, 9).result().get(10, TimeUnit.SECONDS).cachedTokens())
                .isZero();
        // The last token has to be computed, and with it its page.
        assertThat(submit(document, 1).result().get(10, TimeUnit.SECONDS).cachedTokens())
                .isEqualTo(72);
        int[] longer = Arrays.copyOf(document, 120);
        assertThat(submit(longer, 1).result().get(10, TimeUnit.SECONDS).cachedTokens())
                .isEqualTo(80);
        assertThat(scheduler.stats(null).cachedTokens()).isEqualTo(152);
        assertThat(scheduler.stats(null).promptTokens()).isEqualTo(280);
        assertThat(backend.steps().get(9).get(0).count()).isEqualTo(8);
    }

    @Test
    void onlyDenseTokensAreSharedAndNoneThatTheMethodMoves() throws Exception {
        start(100, SchedulerConfig.DEFAULT);
        int[] prompt = prompt(new Random(7), 161);
        submit(prompt, 1).result().get(10, TimeUnit.SECONDS);
        assertThat(cached(prompt, new Dense(), 0)).isEqualTo(160);
        assertThat(cached(prompt, new StreamingLlm(Budget.ofTokens(100), 4), 161))
                .isEqualTo(160);
        assertThat(cached(prompt, new StreamingLlm(Budget.ofTokens(100), 4), 100))
                .isEqualTo(96);
        for (EvictionMethod packing : List.of(
                new Tova(Budget.ofTokens(100)),
                new SnapKv(Budget.ofTokens(100), 64, 7),
                new H2o(Budget.ofTokens(100), 0.5))) {
            int[] other = prompt(new Random(packing.hashCode()), 161);
            assertThat(cached(prompt, packing, 161)).isZero();
            assertThat(cached(other, packing, 161)).isZero();
            assertThat(cached(other, new Dense(), 0)).isZero();
        }
    }

    private int cached(int[] prompt, AttentionMethod method, int denseTokens) throws Exception {
        ActiveGeneration generation = generation(prompt, 1, method, denseTokens, new GenerationListener() {});
        scheduler.submit(generation);
        return generation.result().get(10, TimeUnit.SECONDS).cachedTokens();
    }

    @Test
    void whatWasAttendedSparselyIsNotShared() throws Exception {
        start(100, SchedulerConfig.DEFAULT);
        int[] prompt = prompt(new Random(7), 90);
        ActiveGeneration sparse =
                generation(prompt, 30, new StreamingLlm(Budget.ofTokens(32), 4), 60, new GenerationListener() {});
        scheduler.submit(sparse);
        sparse.result().get(10, TimeUnit.SECONDS);
        assertThat(cached(prompt, new Dense(), 0)).isEqualTo(56);
    }

    @Test
    void sharedPagesCountOnceWhenSequencesAreAdmitted() throws Exception {
        // Two prompts of 12 pages do not fit unless they share.
        start(16, new SchedulerConfig(2, 128, 10));
        int[] document = prompt(new Random(7), 97);
        AtomicInteger together = new AtomicInteger();
        CountDownLatch submitted = new CountDownLatch(1);
        backend.before(spans -> {
            together.accumulateAndGet(spans.size(), Math::max);
            if (backend.steps().size() == 2) {
                awaitLatch(submitted);
            }
        });
        ActiveGeneration first = submit(document, 8);
        await().until(() -> backend.steps().size() == 2);
        ActiveGeneration second = submit(document, 8);
        submitted.countDown();
        assertThat(second.result().get(10, TimeUnit.SECONDS).tokens())
                .isEqualTo(first.result().get(10, TimeUnit.SECONDS).tokens());
        assertThat(together).hasValue(2);
    }

    @Test
    void decodesTogetherAndCutsPromptsIntoChunks() throws Exception {
        start(100, new SchedulerConfig(4, 16, 10));
        Random random = new Random(3);
        CountDownLatch first = new CountDownLatch(1);
        CountDownLatch submitted = new CountDownLatch(1);
        backend.before(spans -> {
            if (backend.steps().size() == 10) {
                awaitLatch(submitted);
            }
        });
        ActiveGeneration decoding = submit(prompt(random, 4), 200, new GenerationListener() {
            @Override
            public void onText(String piece) {
                first.countDown();
            }
        });
        assertThat(first.await(10, TimeUnit.SECONDS)).isTrue();
        ActiveGeneration late = submit(prompt(random, 50), 5);
        submitted.countDown();
        late.result().get(10, TimeUnit.SECONDS);
        decoding.cancel();
        decoding.result().get(10, TimeUnit.SECONDS);
        scheduler.close();
        List<Integer> chunks = new ArrayList<>();
        for (List<Span> step : backend.steps()) {
            int prefill = 0;
            for (Span span : step) {
                prefill += span.count() > 1 ? span.count() : 0;
            }
            assertThat(prefill).isLessThanOrEqualTo(16);
            if (step.size() == 2 && prefill > 0) {
                chunks.add(prefill);
                assertThat(step.get(0).count()).isEqualTo(1);
            }
        }
        assertThat(chunks).containsExactly(16, 16, 16, 2);
    }

    @Test
    void streamingLlmKeepsItsBudgetAndFreesPages() throws Exception {
        start(40, new SchedulerConfig(1, 64, 10));
        int[] prompt = prompt(new Random(5), 200);
        ActiveGeneration generation =
                generation(prompt, 50, new StreamingLlm(Budget.ofTokens(32), 4), 190, new GenerationListener() {});
        List<Integer> free = new ArrayList<>();
        backend.before(spans -> free.add(scheduler.stats(null).pagesFree()));
        scheduler.submit(generation);
        GenerationResult result = generation.result().get(10, TimeUnit.SECONDS);
        List<Integer> all = new ArrayList<>(Arrays.stream(prompt).boxed().toList());
        for (int i = 0; i < 50; i++) {
            List<Integer> read = new ArrayList<>(all.subList(0, 4));
            read.addAll(all.subList(all.size() - 28, all.size()));
            all.add(FakeBackend.next(read));
        }
        assertThat(result.tokens()).isEqualTo(all.subList(200, 250));
        // 10 tokens of the prompt and 49 of the answer read 32 each.
        assertThat(result.attention().tokensAttended()).isEqualTo(59 * 32);
        assertThat(result.attention().tokensEvicted()).isEqualTo(249 - 32);
        // 24 pages are taken by 190 tokens; one with sinks and four or five of the window stay.
        assertThat(free.get(2)).isEqualTo(40 - 24);
        assertThat(free.get(4)).isGreaterThanOrEqualTo(40 - 6);
        assertThat(scheduler.stats(null).pagesFree()).isEqualTo(40);
    }

    @Test
    void aSequenceShorterThanTheMinContextIsDense() throws Exception {
        start(40, new SchedulerConfig(1, 64, 10));
        int[] prompt = prompt(new Random(5), 50);
        ActiveGeneration generation =
                generation(prompt, 80, new StreamingLlm(Budget.ofTokens(32), 4), 20, 100, new GenerationListener() {});
        scheduler.submit(generation);
        GenerationResult result = generation.result().get(10, TimeUnit.SECONDS);
        List<Integer> all = new ArrayList<>(Arrays.stream(prompt).boxed().toList());
        for (int i = 0; i < 80; i++) {
            List<Integer> read = all;
            if (all.size() > 100) {
                read = new ArrayList<>(all.subList(0, 4));
                read.addAll(all.subList(all.size() - 28, all.size()));
            }
            all.add(FakeBackend.next(read));
        }
        assertThat(result.tokens()).isEqualTo(all.subList(50, 130));
        assertThat(result.attention().tokensAttended()).isEqualTo(29 * 32);
        assertThat(result.attention().tokensEvicted()).isEqualTo(129 - 32);
    }

    @ParameterizedTest
    @ValueSource(strings = {"h2o:budget=32", "tova:budget=32", "snapkv:budget=32,window=8"})
    void packingKeepsTheBudgetAndFreesPages(String spec) throws Exception {
        start(40, new SchedulerConfig(1, 64, 10));
        int[] prompt = prompt(new Random(6), 200);
        EvictionMethod method = (EvictionMethod) AttentionMethod.parse(spec);
        ActiveGeneration generation = generation(prompt, 50, method, 190, new GenerationListener() {});
        List<Integer> free = new ArrayList<>();
        List<Integer> retained = new ArrayList<>();
        List<Integer> lengths = new ArrayList<>();
        backend.before(spans -> {
            free.add(scheduler.stats(null).pagesFree());
            retained.add(spans.get(0).sequence().retained());
            lengths.add(spans.get(0).sequence().length());
        });
        scheduler.submit(generation);
        GenerationResult result = generation.result().get(10, TimeUnit.SECONDS);
        List<Integer> all = new ArrayList<>(Arrays.stream(prompt).boxed().toList());
        for (int i = 0; i < 50; i++) {
            int kept = method.evictsOnce() ? 32 + all.size() - 190 : 32;
            all.add(FakeBackend.next(all.subList(all.size() - kept, all.size())));
        }
        assertThat(result.tokens()).isEqualTo(all.subList(200, 250));
        assertThat(result.attention().tokensEvicted()).isEqualTo(method.evictsOnce() ? 190 - 32 : 249 - 32);
        // Three chunks of the dense part, then one token at a time.
        assertThat(lengths.subList(0, 5)).containsExactly(0, 64, 128, 190, 191);
        assertThat(free.get(2)).isEqualTo(40 - 24);
        for (int i = 3; i < free.size(); i++) {
            assertThat(retained.get(i)).isEqualTo(method.evictsOnce() ? 32 + i - 3 : 31);
            assertThat(free.get(i)).isEqualTo(40 - (retained.get(i) + 1 + PAGE - 1) / PAGE);
        }
        assertThat(backend.steps().get(0).get(0).observation())
                .isEqualTo(new Span.Observation(
                        method,
                        Math.max(0, 190 - method.observedQueries()),
                        method.evictsOnce() ? 190 : Integer.MAX_VALUE));
        assertThat(scheduler.stats(null).pagesFree()).isEqualTo(40);
    }

    @RepeatedTest(10)
    void evictingOnesComputedAnewGiveTheSameAnswer() throws Exception {
        long seed = System.nanoTime();
        Random random = new Random(seed);
        List<String> specs = List.of("h2o:budget=16", "tova:budget=25%", "snapkv:budget=24,window=8", "dense");
        List<int[]> prompts = new ArrayList<>();
        for (int i = 0; i < 12; i++) {
            prompts.add(prompt(random, 1 + random.nextInt(100)));
        }
        List<List<Integer>> answers = new ArrayList<>();
        // At first there is room for all, then so little that pages are taken away.
        for (int pages : List.of(1000, 24)) {
            start(pages, new SchedulerConfig(4, 40, 100));
            List<ActiveGeneration> generations = new ArrayList<>();
            for (int i = 0; i < prompts.size(); i++) {
                AttentionMethod method = AttentionMethod.parse(specs.get(i % specs.size()));
                generations.add(generation(
                        prompts.get(i), 60, method, prompts.get(i).length * 2 / 3, new GenerationListener() {}));
                scheduler.submit(generations.get(i));
            }
            List<Integer> all = new ArrayList<>();
            for (ActiveGeneration generation : generations) {
                all.addAll(generation.result().get(30, TimeUnit.SECONDS).tokens());
            }
            answers.add(all);
            assertThat(scheduler.stats(null).pagesFree()).as("seed %s", seed).isEqualTo(pages);
            scheduler.close();
        }
        assertThat(answers.get(1)).as("seed %s", seed).isEqualTo(answers.get(0));
    }

    @Test
    void aPromptLargerThanTheCacheIsRefusedAtOnce() {
        start(4, SchedulerConfig.DEFAULT);
        assertThatThrownBy(() -> submit(new int[32], 1))
                .isInstanceOf(KvCacheFullException.class)
                .hasMessageContaining("needs 5 KV pages")
                .hasMessageContaining("kv-cache.memory");
    }

    @Test
    void anAnswerThatFillsTheCacheEndsWithAnError() {
        start(4, SchedulerConfig.DEFAULT);
        ActiveGeneration generation = submit(new int[20], 1000);
        assertThatThrownBy(() -> generation.result().get(10, TimeUnit.SECONDS))
                .isInstanceOf(ExecutionException.class)
                .hasCauseInstanceOf(KvCacheFullException.class)
                .hasMessageContaining("after 32 of 33 tokens");
        assertThat(scheduler.stats(null).pagesFree()).isEqualTo(4);
        assertThat(scheduler.stats(null).failed()).isEqualTo(1);
    }

    @Test
    void aFullQueueRefuses() throws Exception {
        start(100, new SchedulerConfig(1, 16, 1));
        CountDownLatch running = new CountDownLatch(1);
        CountDownLatch go = new CountDownLatch(1);
        backend.before(spans -> {
            running.countDown();
            awaitLatch(go);
        });
        ActiveGeneration one = submit(new int[4], 3);
        assertThat(running.await(10, TimeUnit.SECONDS)).isTrue();
        ActiveGeneration two = submit(new int[4], 3);
        assertThatThrownBy(() -> submit(new int[4], 3))
                .isInstanceOf(QueueFullException.class)
                .hasMessageContaining("queue-capacity");
        go.countDown();
        one.result().get(10, TimeUnit.SECONDS);
        two.result().get(10, TimeUnit.SECONDS);
    }

    @Test
    void cancelEndsRunningAndWaitingOnes() throws Exception {
        start(100, new SchedulerConfig(1, 16, 10));
        // Both cancellations come before the end, however slow this thread is.
        CountDownLatch waitingCancelled = new CountDownLatch(1);
        CountDownLatch runningCancelled = new CountDownLatch(1);
        backend.before(spans -> {
            awaitLatch(waitingCancelled);
            if (spans.get(0).sequence().length() > 600) {
                awaitLatch(runningCancelled);
            }
        });
        ActiveGeneration runs = submit(new int[4], 700);
        ActiveGeneration waits = submit(new int[4], 700);
        waits.cancel();
        waitingCancelled.countDown();
        assertThat(waits.result().get(10, TimeUnit.SECONDS).finishReason()).isEqualTo(FinishReason.CANCELLED);
        runs.cancel();
        runs.cancel();
        runningCancelled.countDown();
        GenerationResult result = runs.result().get(10, TimeUnit.SECONDS);
        assertThat(result.finishReason()).isEqualTo(FinishReason.CANCELLED);
        assertThat(result.generatedTokens()).isLessThan(700);
        assertThat(scheduler.stats(null).cancelled()).isEqualTo(2);
        assertThat(scheduler.stats(null).pagesFree()).isEqualTo(100);
    }

    @Test
    void oneCancelledInTheStepThatTakesItsPagesEndsOnce() throws Exception {
        start(4, new SchedulerConfig(2, 64, 10));
        Random random = new Random(5);
        CountDownLatch submitted = new CountDownLatch(1);
        AtomicReference<ActiveGeneration> younger = new AtomicReference<>();
        AtomicInteger ends = new AtomicInteger();
        backend.before(spans -> {
            awaitLatch(submitted);
            // Both hold two full pages after this step, so that the older one takes the younger one's in the next.
            if (spans.get(0).sequence().length() == 2 * PAGE - 1) {
                younger.get().cancel();
            }
        });
        ActiveGeneration older = submit(prompt(random, PAGE), 20);
        younger.set(submit(prompt(random, PAGE), 20, new GenerationListener() {
            @Override
            public void onComplete(GenerationResult result) {
                ends.incrementAndGet();
            }
        }));
        submitted.countDown();

        older.result().get(10, TimeUnit.SECONDS);

        assertThat(younger.get().result().get(10, TimeUnit.SECONDS).finishReason())
                .isEqualTo(FinishReason.CANCELLED);
        assertThat(ends).hasValue(1);
        assertThat(scheduler.stats(null).cancelled()).isEqualTo(1);
        assertThat(scheduler.stats(null).completed()).isEqualTo(2);
        assertThat(scheduler.stats(null).pagesFree()).isEqualTo(4);
    }

    @Test
    void aThrowingListenerGetsItsErrorAndStopsTheDecode() throws Exception {
        start(100, SchedulerConfig.DEFAULT);
        List<Throwable> errors = new ArrayList<>();
        ActiveGeneration generation = submit(new int[4], 700, new GenerationListener() {
            @Override
            public void onText(String piece) {
                throw new IllegalStateException("my handler broke");
            }

            @Override
            public void onComplete(GenerationResult result) {
                errors.add(new AssertionError("completed"));
            }

            @Override
            public void onError(Throwable error) {
                errors.add(error);
            }
        });
        assertThatThrownBy(() -> generation.result().get(10, TimeUnit.SECONDS))
                .hasMessageContaining("my handler broke");
        assertThat(errors).hasSize(1);
        await().untilAsserted(() -> assertThat(scheduler.stats(null).running()).isZero());
        assertThat(scheduler.stats(null).pagesFree()).isEqualTo(100);
    }

    @Test
    void eachListenerIsCalledOnOneThreadOfItsOwn() throws Exception {
        start(200, new SchedulerConfig(8, 64, 10));
        List<Set<Thread>> threads = new ArrayList<>();
        List<ActiveGeneration> generations = new ArrayList<>();
        for (int i = 0; i < 8; i++) {
            Set<Thread> own = ConcurrentHashMap.newKeySet();
            threads.add(own);
            generations.add(submit(prompt(new Random(i), 10), 60, new GenerationListener() {
                @Override
                public void onText(String piece) {
                    own.add(Thread.currentThread());
                }

                @Override
                public void onComplete(GenerationResult result) {
                    own.add(Thread.currentThread());
                }
            }));
        }
        for (ActiveGeneration generation : generations) {
            generation.result().get(10, TimeUnit.SECONDS);
        }
        assertThat(threads).allSatisfy(own -> assertThat(own).hasSize(1));
    }

    @Test
    void aSlowListenerDelaysOnlyItself() throws Exception {
        start(100, SchedulerConfig.DEFAULT);
        CountDownLatch go = new CountDownLatch(1);
        ActiveGeneration slow = submit(new int[4], 10, new GenerationListener() {
            @Override
            public void onText(String piece) {
                awaitLatch(go);
            }
        });
        submit(new int[4], 10).result().get(10, TimeUnit.SECONDS);
        assertThat(slow.result()).isNotDone();
        go.countDown();
        slow.result().get(10, TimeUnit.SECONDS);
    }

    @Test
    void aFailedDeviceFailsAllAndRefusesMore() {
        start(100, SchedulerConfig.DEFAULT);
        backend.before(spans -> {
            throw new BackendException("device lost");
        });
        ActiveGeneration generation = submit(new int[4], 10);
        assertThatThrownBy(() -> generation.result().get(10, TimeUnit.SECONDS)).hasMessageContaining("device lost");
        await().until(() -> backend.isClosed());
        assertThatThrownBy(() -> submit(new int[4], 10)).isInstanceOf(BackendException.class);
        assertThat(scheduler.stats(null).failure()).contains("device lost");
        assertThat(scheduler.stats(null).pagesFree()).isEqualTo(100);
    }

    @Test
    void anExhaustedHeapFailsTheRunningOnesOnly() throws Exception {
        start(100, SchedulerConfig.DEFAULT);
        backend.before(spans -> {
            throw new OutOfMemoryError("Java heap space");
        });
        ActiveGeneration generation = submit(new int[4], 10);
        assertThatThrownBy(() -> generation.result().get(10, TimeUnit.SECONDS))
                .hasCauseInstanceOf(SkimException.class)
                .hasMessageContaining("-Xmx");
        backend.before(spans -> {});
        submit(new int[4], 10).result().get(10, TimeUnit.SECONDS);
    }

    @Test
    void closeFailsWhatRunsAndClosesTheBackend() {
        start(100, new SchedulerConfig(1, 16, 10));
        ActiveGeneration runs = submit(new int[4], 700);
        ActiveGeneration waits = submit(new int[4], 700);
        scheduler.close();
        scheduler.close();
        for (ActiveGeneration generation : List.of(runs, waits)) {
            assertThatThrownBy(() -> generation.result().get(10, TimeUnit.SECONDS))
                    .hasCauseInstanceOf(EngineClosedException.class);
        }
        assertThat(backend.isClosed()).isTrue();
        assertThatThrownBy(() -> submit(new int[4], 1)).isInstanceOf(EngineClosedException.class);
    }

    @Test
    void closeEndsAStepThatWaitsForWeights() {
        start(100, SchedulerConfig.DEFAULT);
        CompletableFuture<Void> loaded = new CompletableFuture<>();
        CountDownLatch waits = new CountDownLatch(1);
        backend.loaded(loaded);
        backend.before(spans -> {
            waits.countDown();
            loaded.join();
        });
        ActiveGeneration generation = submit(new int[4], 10);
        awaitLatch(waits);
        scheduler.close();
        assertThatThrownBy(() -> generation.result().get(10, TimeUnit.SECONDS))
                .hasCauseInstanceOf(EngineClosedException.class);
        assertThat(backend.isClosed()).isTrue();
    }

    private static void awaitLatch(CountDownLatch latch) {
        try {
            latch.await(10, TimeUnit.SECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private static final class LetterDecoder implements Tokenizer.StreamDecoder {

        @Override
        public String next(int token) {
            return String.valueOf((char) ('!' + token));
        }

        @Override
        public String finish() {
            return "";
        }
    }
}
