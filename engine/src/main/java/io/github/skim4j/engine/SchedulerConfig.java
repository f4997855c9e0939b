package io.github.skim4j.engine;

/**
 * How requests share the device.
 *
 * @param maxBatchSize sequences that run at the same time
 * @param prefillChunk prompt tokens in one step; a long prompt is cut so that running answers go on in between
 * @param queueCapacity requests that may wait; one more is refused with {@link QueueFullException}
 */
public record SchedulerConfig(int maxBatchSize, int prefillChunk, int queueCapacity) {

    public static final SchedulerConfig DEFAULT = new SchedulerConfig(8, 512, 256);

    public SchedulerConfig {
        if (maxBatchSize < 1) {
            throw new IllegalArgumentException("scheduler max-batch-size must be 1 or more, but is " + maxBatchSize);
        }
        if (prefillChunk < 1) {
            throw new IllegalArgumentException("scheduler prefill-chunk must be 1 or more, but is " + prefillChunk);
        }
        if (queueCapacity < 1) {
            throw new IllegalArgumentException("scheduler queue-capacity must be 1 or more, but is " + queueCapacity);
        }
    }
}
