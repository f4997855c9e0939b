package io.github.skim4j.engine;

/**
 * What the sparse part of a generation read of its KV cache, summed over the steps, layers and KV heads that an attention
 * method other than dense could thin out; the dense prefill and layers that stay dense are not counted.
 *
 * @param tokensAttended key-value pairs read
 * @param tokensTotal key-value pairs that dense attention would have read
 * @param tokensEvicted positions dropped from the cache for good
 * @param pagesRead pages of which at least one token was attended
 * @param bytesRead bytes of keys, values and what the selection looked at
 * @param bytesTotal bytes of the keys and values that dense attention would have read
 * @param time where the time of attention went, dense layers included
 * @param probe what the recall probe saw
 */
public record AttentionStats(
        long tokensAttended,
        long tokensTotal,
        long tokensEvicted,
        long pagesRead,
        long bytesRead,
        long bytesTotal,
        Time time,
        Probe probe) {

    /**
     * Wall-clock time of steps, in nanoseconds; a step's is parted evenly among its sequences.
     *
     * @param selection finding out what to read
     * @param total selection and reading
     */
    public record Time(long selection, long total) {

        public static final Time NONE = new Time(0, 0);

        /** Selection's share, 0 … 1; {@code null} where no time was measured: of dense attention, and on a GPU. */
        public Double selectionShare() {
            return total == 0 ? null : (double) selection / total;
        }

        public Time plus(Time other) {
            return new Time(selection + other.selection, total + other.total);
        }
    }

    /**
     * Comparisons with dense attention, on a sample of steps, layers and KV heads.
     *
     * @param samples how many
     * @param keptMassSum sum of the shares of the attention that fall on tokens that were read
     * @param outputErrorSum sum of the relative errors of the heads' outputs, ‖sparse − dense‖ / ‖dense‖
     */
    public record Probe(long samples, double keptMassSum, double outputErrorSum) {

        public static final Probe NONE = new Probe(0, 0, 0);

        /** Mean share of the attention that the method kept, 0 … 1; NaN without samples. */
        public double keptMass() {
            return keptMassSum / samples;
        }

        /** Mean relative error of the output; NaN without samples. */
        public double outputError() {
            return outputErrorSum / samples;
        }

        public Probe plus(Probe other) {
            return new Probe(
                    samples + other.samples, keptMassSum + other.keptMassSum, outputErrorSum + other.outputErrorSum);
        }
    }

    public static final AttentionStats NONE = new AttentionStats(0, 0, 0, 0, 0, 0, Time.NONE, Probe.NONE);

    /** Counts of tokens alone. */
    public static AttentionStats ofTokens(long attended, long total, long evicted) {
        return new AttentionStats(attended, total, evicted, 0, 0, 0, Time.NONE, Probe.NONE);
    }

    public static AttentionStats ofTime(Time time) {
        return new AttentionStats(0, 0, 0, 0, 0, 0, time, Probe.NONE);
    }

    public static AttentionStats ofProbe(Probe probe) {
        return new AttentionStats(0, 0, 0, 0, 0, 0, Time.NONE, probe);
    }

    /** Attended share of all tokens, 0 … 1; 1 where nothing was counted. */
    public double density() {
        return tokensTotal == 0 ? 1 : (double) tokensAttended / tokensTotal;
    }

    /** Bytes read, selection included, relative to dense attention's; 1 where nothing was counted. */
    public double traffic() {
        return bytesTotal == 0 ? 1 : (double) bytesRead / bytesTotal;
    }

    public AttentionStats plus(AttentionStats other) {
        return new AttentionStats(
                tokensAttended + other.tokensAttended,
                tokensTotal + other.tokensTotal,
                tokensEvicted + other.tokensEvicted,
                pagesRead + other.pagesRead,
                bytesRead + other.bytesRead,
                bytesTotal + other.bytesTotal,
                time.plus(other.time),
                probe.plus(other.probe));
    }
}
