package io.github.skim4j.engine.backend.cpu;

import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;

/**
 * Threads that share one loop at a time with the caller. A step runs hundreds of short loops, so a worker spins for a while after
 * each before it parks; an idle team uses no CPU. Only one thread may call {@link #run} at a time.
 */
final class WorkerTeam implements AutoCloseable {

    /** The body of a loop. */
    interface Task {

        /**
         * @param worker which thread runs it, 0 … threads - 1: an index for scratch memory
         * @param chunk which part of the loop
         */
        void run(int worker, int chunk);
    }

    private static final int SPINS = 20_000;

    private final Worker[] workers;
    private final AtomicInteger nextChunk = new AtomicInteger();
    private final AtomicInteger busy = new AtomicInteger();
    private Task task;
    private int chunks;
    private volatile Throwable failure;
    /** Written last by the caller, read first by the workers: a new value starts a loop. */
    private volatile int round;

    private volatile boolean closed;

    /** @param threads all threads, the caller's included */
    WorkerTeam(int threads, String name) {
        workers = new Worker[threads - 1];
        for (int i = 0; i < workers.length; i++) {
            workers[i] = new Worker(i + 1, name + "-" + (i + 1));
            workers[i].start();
        }
    }

    int threads() {
        return workers.length + 1;
    }

    /** Runs {@code task} for each chunk in [0, {@code chunks}); returns when all are done, or throws what a task threw. */
    void run(int chunks, Task task) {
        if (closed) {
            throw new IllegalStateException("the worker team is closed");
        }
        if (workers.length == 0 || chunks == 1) {
            for (int i = 0; i < chunks; i++) {
                task.run(0, i);
            }
            return;
        }
        this.task = task;
        this.chunks = chunks;
        nextChunk.setPlain(0);
        busy.setPlain(workers.length);
        round++;
        for (Worker worker : workers) {
            if (worker.parked) {
                LockSupport.unpark(worker);
            }
        }
        takeChunks(0);
        for (int i = 0; busy.getAcquire() > 0; i++) {
            if (i < SPINS) {
                Thread.onSpinWait();
            } else {
                Thread.yield();
            }
        }
        this.task = null;
        Throwable thrown = failure;
        if (thrown != null) {
            failure = null;
            rethrow(thrown);
        }
    }

    private void takeChunks(int worker) {
        try {
            for (int i = nextChunk.getAndIncrement(); i < chunks; i = nextChunk.getAndIncrement()) {
                task.run(worker, i);
            }
        } catch (Throwable t) {
            failure = t;
            nextChunk.set(chunks);
        }
    }

    private static void rethrow(Throwable thrown) {
        if (thrown instanceof RuntimeException e) {
            throw e;
        }
        throw (Error) thrown;
    }

    /** Ends and joins the threads; idempotent. */
    @Override
    public void close() {
        closed = true;
        boolean interrupted = false;
        for (Worker worker : workers) {
            LockSupport.unpark(worker);
            while (worker.isAlive()) {
                try {
                    worker.join();
                } catch (InterruptedException e) {
                    interrupted = true;
                }
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private final class Worker extends Thread {

        private final int index;
        private volatile boolean parked;

        Worker(int index, String name) {
            super(name);
            this.index = index;
            setDaemon(true);
        }

        @Override
        public void run() {
            int seen = 0;
            while (awaitRound(seen)) {
                seen++;
                takeChunks(index);
                busy.getAndDecrement();
            }
        }

        /** Waits for the round after {@code seen}; false if the team closes. */
        private boolean awaitRound(int seen) {
            for (int i = 0; i < SPINS && round == seen && !closed; i++) {
                Thread.onSpinWait();
            }
            parked = true;
            while (round == seen && !closed) {
                LockSupport.park(this);
            }
            parked = false;
            return round != seen;
        }
    }
}
