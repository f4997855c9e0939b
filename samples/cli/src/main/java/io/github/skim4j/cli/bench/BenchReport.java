package io.github.skim4j.cli.bench;

import java.util.List;

/** A measurement's outcome as it is printed with {@code --json}, in snake case. */
record BenchReport(String model, String device, int threads, List<Result> results) {

    /**
     * Medians over the runs of one attention method at one depth.
     *
     * @param batch sequences that decoded together; rates are over all of them
     * @param relativeToDense decode rate relative to dense attention's; {@code null} if that was not among the methods
     * @param ofFloor the least time that a step can take, relative to dense attention's; {@code null} of other methods, and where the
     *     memory's bandwidth is not given
     * @param density attended share of the tokens, 0 … 1
     * @param traffic bytes read of the cache, selection included, relative to dense attention's
     * @param selectionShare selection's share of the time of attention, 0 … 1; {@code null} where no time was measured
     */
    record Result(
            String attention,
            int depth,
            int batch,
            double prefillTokensPerSecond,
            double decodeTokensPerSecond,
            Double relativeToDense,
            Double ofFloor,
            double density,
            double traffic,
            Double selectionShare) {

        /** Seconds of a decode step, which gives each sequence a token. */
        double stepSeconds() {
            return batch / decodeTokensPerSecond;
        }
    }
}
