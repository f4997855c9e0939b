package io.github.skim4j.engine.backend.cpu;

/** A thread's memory: unpacked weights of some columns of a panel, to fit in the first-level cache, and sums of a panel. */
final class MatrixScratch {

    /** Columns that are unpacked at a time; a multiple of every block size. */
    static final int COLUMNS = 128;

    /** [column][lane] */
    final float[] weights;

    /** Levels put together from their bits, [column][lane], and some bytes that may be read but aren't used. */
    final byte[] levels;

    final Prefetcher prefetcher = new Prefetcher();

    private final int lanes;
    private float[] sums = {};

    MatrixScratch(int lanes) {
        this.lanes = lanes;
        levels = new byte[COLUMNS * lanes + PackedMatrix.OVERREAD];
        weights = new float[COLUMNS * lanes];
    }

    /**
     * [token][lane]. The rows of the output itself are often a multiple of 4096 bytes apart: all tokens' sums would share a few
     * places of the caches.
     */
    float[] sums(int tokens) {
        if (sums.length < tokens * lanes) {
            sums = new float[tokens * lanes];
        }
        return sums;
    }
}
