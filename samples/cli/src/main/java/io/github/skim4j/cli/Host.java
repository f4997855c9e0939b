package io.github.skim4j.cli;

import io.github.skim4j.engine.Engine;
import io.github.skim4j.engine.EngineConfig;
import java.io.InputStream;
import java.nio.charset.Charset;
import java.util.function.Function;

/**
 * What commands use besides their options, so that tests can stand in for it.
 *
 * @param engines opens engines
 * @param input what the user types
 * @param charset of {@code input}
 * @param errorIsTerminal whether a person watches the error stream
 */
public record Host(
        Function<EngineConfig, Engine> engines, InputStream input, Charset charset, boolean errorIsTerminal) {}
