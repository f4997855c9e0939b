package io.github.skim4j.engine.backend.cpu;

/** A thread's memory for unpacked weights: some columns of a panel, to fit in the first-level cache. */
final class MatrixScratch {

    /** Columns that are unpacked at a time; a multiple of every block size. */
    static final int COLUMNS = 128;

    /** [column][lane] */
    final float[] weights;

    /** Levels put together from their bits, [column][lane], and some bytes that may be read but aren't used. */
    final byte[] levels;

    MatrixScratch(int lanes) {
        levels = new byte[COLUMNS * lanes + PackedMatrix.OVERREAD];
        weights = new float[COLUMNS * lanes];
    }
}
