/**
 * The engine's public API: {@link io.github.skim4j.engine.Engine#open open} an engine, {@link
 * io.github.skim4j.engine.Engine#generate generate} text, close it.
 */
package io.github.skim4j.engine;
