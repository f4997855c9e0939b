package io.github.skim4j.engine.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.Timeout.ThreadMode;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** With a thread for each test: one that waits for chunks can't be interrupted. */
@Timeout(value = 20, threadMode = ThreadMode.SEPARATE_THREAD)
class WorkerTeamTest {

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3, 8})
    void runsEachChunkOfEachLoopOnce(int threads) {
        long seed = System.nanoTime();
        Random random = new Random(seed);
        try (WorkerTeam team = new WorkerTeam(threads, "team")) {
            for (int loop = 0; loop < 3000; loop++) {
                int chunks = random.nextInt(60);
                AtomicIntegerArray runs = new AtomicIntegerArray(60);
                team.run(chunks, (worker, chunk) -> {
                    assertThat(worker).isBetween(0, threads - 1);
                    runs.incrementAndGet(chunk);
                });
                for (int i = 0; i < 60; i++) {
                    assertThat(runs.get(i))
                            .as("loop %s, chunk %s, seed %s", loop, i, seed)
                            .isEqualTo(i < chunks ? 1 : 0);
                }
            }
        }
    }

    @Test
    void waitsForTheChunksThatWorkersRun() throws Exception {
        try (WorkerTeam team = new WorkerTeam(2, "team")) {
            CountDownLatch bothRun = new CountDownLatch(2);
            CountDownLatch release = new CountDownLatch(1);
            AtomicInteger slow = new AtomicInteger(-1);
            Thread releasing = new Thread(() -> {
                try {
                    Thread.sleep(300);
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                }
                release.countDown();
            });
            releasing.start();
            team.run(2, (worker, chunk) -> {
                bothRun.countDown();
                awaitLatch(bothRun);
                if (worker == 1) {
                    slow.set(chunk);
                    awaitLatch(release);
                }
            });
            assertThat(release.getCount()).isZero();
            assertThat(slow.get()).isNotNegative();
            releasing.join();
        }
    }

    @Test
    void throwsWhatAChunkThrewAndGoesOn() {
        try (WorkerTeam team = new WorkerTeam(3, "team")) {
            for (int i = 0; i < 100; i++) {
                assertThatThrownBy(() -> team.run(50, (worker, chunk) -> {
                            if (chunk == 17) {
                                throw new IllegalStateException("chunk 17");
                            }
                        }))
                        .isInstanceOf(IllegalStateException.class)
                        .hasMessage("chunk 17");
                AtomicInteger runs = new AtomicInteger();
                team.run(50, (worker, chunk) -> runs.incrementAndGet());
                assertThat(runs).hasValue(50);
            }
        }
    }

    @Test
    void closeEndsTheThreads() {
        WorkerTeam team = new WorkerTeam(4, "closing-team");
        team.run(10, (worker, chunk) -> {});
        team.close();
        team.close();
        assertThat(Thread.getAllStackTraces().keySet())
                .noneMatch(thread -> thread.getName().startsWith("closing-team"));
        assertThatThrownBy(() -> team.run(1, (worker, chunk) -> {})).isInstanceOf(IllegalStateException.class);
    }

    private static void awaitLatch(CountDownLatch latch) {
        try {
            latch.await();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
