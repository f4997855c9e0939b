package io.github.skim4j.cli;

import io.github.skim4j.engine.Engine;
import io.github.skim4j.engine.EngineConfig;
import io.github.skim4j.engine.model.HubConfig;
import io.github.skim4j.engine.model.ModelResolver;
import io.github.skim4j.engine.model.ResolvedModel;
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
        Function<EngineConfig, Engine> engines, InputStream input, Charset charset, boolean errorIsTerminal) {

    /** A model on disk, for {@code reference} as {@link ModelResolver#resolve} takes it; a bar shows the download. */
    public ResolvedModel resolve(String reference) {
        try (DownloadBar downloads = new DownloadBar(errorIsTerminal)) {
            return ModelResolver.resolve(reference, HubConfig.fromEnvironment().withProgress(downloads));
        }
    }
}
