package io.github.skim4j.engine;

/** Watches every generation of an engine, for meters; called on the generation's delivery thread and must not throw. */
public interface EngineObserver {

    EngineObserver NONE = new EngineObserver() {};

    default void onComplete(GenerationResult result) {}

    default void onError(Throwable error) {}
}
