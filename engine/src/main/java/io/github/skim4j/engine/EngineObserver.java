package io.github.skim4j.engine;

import java.time.Duration;

/** Watches every generation of an engine, for meters; called on the generation's delivery thread and must not throw. */
public interface EngineObserver {

    EngineObserver NONE = new EngineObserver() {};

    default void onComplete(GenerationResult result) {}

    /** A request ended with an error, {@code totalTime} after its submission. */
    default void onError(Throwable error, Duration totalTime) {}
}
