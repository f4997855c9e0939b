package io.github.skim4j.cli;

import io.github.skim4j.engine.Engine;
import io.github.skim4j.engine.EngineConfig;
import io.github.skim4j.engine.model.HubConfig;
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

    /** Opens the engine; downloads show their progress on a terminal. */
    public Engine open(Host host) {
        try (DownloadBar bar = new DownloadBar(host.errorIsTerminal())) {
            return host.engines()
                    .apply(EngineConfig.builder(model.reference())
                            .device(device.device())
                            .threads(device.threads())
                            .contextLength(contextLength)
                            .weights(model.weights())
                            .hub(HubConfig.fromEnvironment().withProgress(bar))
                            .build());
        }
    }
}
