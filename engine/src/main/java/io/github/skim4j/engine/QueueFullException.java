package io.github.skim4j.engine;

/** More requests wait than {@link SchedulerConfig#queueCapacity()} allows; try again later. */
public class QueueFullException extends SkimException {

    public QueueFullException(String message) {
        super(message);
    }
}
