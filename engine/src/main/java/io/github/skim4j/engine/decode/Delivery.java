package io.github.skim4j.engine.decode;

import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Executor;
import java.util.concurrent.LinkedBlockingQueue;

/**
 * Runs one generation's callbacks in order on one thread of {@code executor}, which it keeps from the first callback to the last:
 * listeners may rely on what they left in a thread-local. Not thread-safe: the scheduler's thread submits.
 */
final class Delivery {

    private final Executor executor;
    private final BlockingQueue<Runnable> queue = new LinkedBlockingQueue<>();
    private boolean started;
    /** Changed on the delivering thread alone. */
    private boolean ended;

    Delivery(Executor executor) {
        this.executor = executor;
    }

    void submit(Runnable task) {
        queue.add(task);
        if (!started) {
            started = true;
            executor.execute(this::deliver);
        }
    }

    /** The last task; lets go of the thread after it. */
    void submitLast(Runnable task) {
        submit(() -> {
            ended = true;
            task.run();
        });
    }

    private void deliver() {
        boolean interrupted = false;
        while (!ended) {
            try {
                queue.take().run();
            } catch (InterruptedException e) {
                // A listener may have interrupted its thread; what is left must be delivered all the same.
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
