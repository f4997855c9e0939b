package io.github.skim4j.engine.backend.cpu;

import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicLongArray;
import java.util.concurrent.locks.LockSupport;

/**
 * Threads that share one loop at a time with the caller. A step runs hundreds of short loops, so a worker spins for a while after
 * each before it parks; an idle team uses no CPU. The caller waits for chunks, not for workers: one that the operating system has not
 * scheduled in time holds up nothing. Only one thread may call {@link #run} at a time.
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

    /** Chunks that a thread takes at a time at most; towards the end of a share fewer, so that threads end together. */
    private static final int AT_ONCE = 4;

    private static final int BITS = 20;
    private static final long MASK = (1L << BITS) - 1;

    /** Between the shares of two threads, so that they aren't in one line of the caches. */
    private static final int APART = 16;

    private final Worker[] workers;
    /**
     * What is left of each thread's share of the loop: the loop's number, the first chunk and the end, in one word, so that a late worker
     * can never take a chunk of another loop than it thinks.
     */
    private final AtomicLongArray shares;

    private final AtomicLong loop = new AtomicLong();
    private final AtomicInteger done = new AtomicInteger();
    /** Stays as it is until all chunks of its loop are done. */
    private Task task;

    private volatile Throwable failure;
    private volatile boolean closed;

    /** @param threads all threads, the caller's included */
    WorkerTeam(int threads, String name) {
        shares = new AtomicLongArray(threads * APART);
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
        if (workers.length == 0 || chunks <= 1) {
            for (int i = 0; i < chunks; i++) {
                task.run(0, i);
            }
            return;
        }
        this.task = task;
        done.setPlain(0);
        long number = loop.getPlain() + 1;
        for (int i = 0; i < threads(); i++) {
            shares.set(i * APART, share(number, chunks * i / threads(), chunks * (i + 1) / threads()));
        }
        loop.set(number);
        for (Worker worker : workers) {
            if (worker.parked) {
                LockSupport.unpark(worker);
            }
        }
        takeChunks(0);
        for (int i = 0; done.getAcquire() < chunks; i++) {
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

    private static long share(long loop, long from, long end) {
        return loop << 2 * BITS | from << BITS | end;
    }

    private static int from(long share) {
        return (int) (share >>> BITS & MASK);
    }

    private static int end(long share) {
        return (int) (share & MASK);
    }

    /**
     * Takes chunks until none is left; each that was taken is done, also after a failure. A thread goes through its own share from the
     * front, so that it reads memory in one long stream, and then helps the others from the back of theirs.
     */
    private void takeChunks(int worker) {
        for (int i = 0; i < threads(); i++) {
            int owner = (worker + i) % threads();
            for (long taken = take(owner, i > 0); taken != 0; taken = take(owner, i > 0)) {
                int end = end(taken);
                try {
                    for (int chunk = from(taken); chunk < end && failure == null; chunk++) {
                        task.run(worker, chunk);
                    }
                } catch (Throwable t) {
                    failure = t;
                }
                done.getAndAdd(end - from(taken));
            }
        }
    }

    /** Some chunks of a thread's share, as a share, or 0. */
    private long take(int owner, boolean last) {
        while (true) {
            long share = shares.get(owner * APART);
            int from = from(share);
            int end = end(share);
            if (from >= end) {
                return 0;
            }
            int count = Math.max(1, Math.min(AT_ONCE, (end - from) / 2));
            int first = last ? end - count : from;
            long number = share >>> 2 * BITS;
            long rest = last ? share(number, from, first) : share(number, from + count, end);
            if (shares.weakCompareAndSetVolatile(owner * APART, share, rest)) {
                return share(number, first, first + count);
            }
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
            long seen = 0;
            while (awaitLoopAfter(seen)) {
                seen = loop.get();
                takeChunks(index);
            }
        }

        /** Waits for another loop than {@code seen}; false if the team closes. */
        private boolean awaitLoopAfter(long seen) {
            for (int i = 0; i < SPINS && loop.getAcquire() == seen && !closed; i++) {
                Thread.onSpinWait();
            }
            parked = true;
            while (loop.get() == seen && !closed) {
                LockSupport.park(this);
            }
            parked = false;
            return !closed;
        }
    }
}
