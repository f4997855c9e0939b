package io.github.skim4j.spring;

import io.github.skim4j.engine.Engine;
import io.github.skim4j.engine.EngineStats;
import java.time.Duration;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.context.SmartLifecycle;

/**
 * Gives requests under way some time to end before the engine is closed. Stops after the web server, which takes no new
 * requests by then.
 */
final class EngineDrain implements SmartLifecycle {

    private static final Logger log = LoggerFactory.getLogger(EngineDrain.class);

    /** Below the phases of a web server, which ends its own requests first. */
    static final int PHASE = SmartLifecycle.DEFAULT_PHASE - 4096;

    private static final long POLL_MILLIS = 20;

    private final Engine engine;
    private final Duration timeout;
    private volatile boolean running;

    EngineDrain(Engine engine, Duration timeout) {
        this.engine = engine;
        this.timeout = timeout;
    }

    @Override
    public void start() {
        running = true;
    }

    @Override
    public void stop() {
        long deadline = System.nanoTime() + timeout.toNanos();
        try {
            while (pending() > 0 && System.nanoTime() < deadline) {
                Thread.sleep(POLL_MILLIS);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        int pending = pending();
        if (pending > 0) {
            log.warn(
                    "Ending {} requests that are still under way; {}.shutdown-timeout gave them {} s",
                    pending,
                    SkimProperties.PREFIX,
                    timeout.toMillis() / 1000.0);
        }
        running = false;
    }

    private int pending() {
        EngineStats stats = engine.stats();
        return stats.failure() == null ? stats.running() + stats.queued() : 0;
    }

    @Override
    public boolean isRunning() {
        return running;
    }

    @Override
    public int getPhase() {
        return PHASE;
    }
}
