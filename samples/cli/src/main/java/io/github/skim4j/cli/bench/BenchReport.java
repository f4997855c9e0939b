package io.github.skim4j.cli.bench;

import java.util.List;

/** A measurement's outcome as it is printed with {@code --json}, in snake case. */
record BenchReport(String model, String device, int threads, List<Result> results) {

    /** Medians over the runs of one attention method at one depth; density is a share, 0 … 1. */
    record Result(
            String attention, int depth, double prefillTokensPerSecond, double decodeTokensPerSecond, double density) {}
}
