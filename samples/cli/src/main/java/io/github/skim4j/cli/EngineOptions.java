package io.github.skim4j.cli;

import io.github.skim4j.engine.Engine;
import io.github.skim4j.engine.EngineConfig;
import io.github.skim4j.engine.model.HubConfig;
import io.github.skim4j.engine.model.WeightFormat;
import java.nio.file.Path;
import java.util.function.Consumer;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Which model runs where; shared by the commands that open an engine. */
public final class EngineOptions {

    @Mixin
    private ModelOptions model;

    @Mixin
    private DeviceOptions device;

    @Option(
            names = "--context-length",
            paramLabel = "N",
            description = "Most tokens of a prompt with its answer (default: the model's).")
    private int contextLength;

    @Option(
            names = "--chat-template",
            paramLabel = "F",
            description = "File with a Jinja template that makes messages into a prompt (default: the model's own).")
    private Path chatTemplate;

    /** Opens the engine; downloads show their progress on a terminal. */
    public Engine open(Host host) {
        return open(host, config -> {});
    }

    /** @param more sets what these options don't */
    public Engine open(Host host, Consumer<EngineConfig.Builder> more) {
        try (DownloadBar bar = new DownloadBar(host.errorIsTerminal())) {
            EngineConfig.Builder config = EngineConfig.builder(reference())
                    .device(device())
                    .threads(threads())
                    .contextLength(contextLength)
                    .chatTemplate(chatTemplate == null ? null : TextFiles.read(chatTemplate))
                    .weights(weights())
                    .hub(HubConfig.fromEnvironment().withProgress(bar));
            more.accept(config);
            return host.engines().apply(config.build());
        }
    }

    public String reference() {
        return model.reference();
    }

    public WeightFormat weights() {
        return model.weights();
    }

    public String device() {
        return device.device();
    }

    /** 0 takes all cores. */
    public int threads() {
        return device.threads();
    }
}
