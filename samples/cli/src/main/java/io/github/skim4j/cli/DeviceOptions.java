package io.github.skim4j.cli;

import picocli.CommandLine.Option;

/** What computes. */
public final class DeviceOptions {

    @Option(
            names = "--device",
            paramLabel = "D",
            defaultValue = "auto",
            description = "auto, cpu, or a device with a number such as cuda:0 (default: ${DEFAULT-VALUE}).")
    private String device;

    @Option(
            names = {"-t", "--threads"},
            paramLabel = "N",
            defaultValue = "0",
            description = "CPU threads (default: all cores).",
            showDefaultValue = picocli.CommandLine.Help.Visibility.NEVER)
    private int threads;

    public String device() {
        return device;
    }

    /** 0 takes all cores. */
    public int threads() {
        return threads;
    }
}
