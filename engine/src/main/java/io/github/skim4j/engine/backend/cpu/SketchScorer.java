package io.github.skim4j.engine.backend.cpu;

/** Logits from {@link KeySketches}: the rotated query in a few bit planes, so that a token's sum of signs is a handful of population counts. */
final class SketchScorer extends ShareScorer {

    /** Bits of a rotated query's values, in two's complement. */
    private static final int PLANES = 6;

    private final KeySketches sketches;
    private final int headDim;
    private final int pageSize;

    SketchScorer(CpuKernels kernels, KeySketches sketches, int headDim, int pageSize) {
        super(kernels);
        this.sketches = sketches;
        this.headDim = headDim;
        this.pageSize = pageSize;
    }

    @Override
    public int bytes() {
        return sketches.bytes();
    }

    /** For each row q·μ, the step of the planes' numbers, and minus the sum of the rotated query; then the planes, [row][word][plane]. */
    @Override
    public void prepare(Selection selection) {
        QueryTile tile = selection.tile();
        int words = sketches.wordsPerToken();
        float[] mean = sketches.means(tile.sequence().page(0), tile.layer());
        float[] prepared = selection.prepared(3 * selection.rows());
        long[] planes = selection.planes(selection.rows() * words * PLANES);
        float[] rotated = new float[headDim];
        for (int r = 0; r < selection.rows(); r++) {
            float offset = 0;
            for (int i = 0; i < headDim; i++) {
                rotated[i] = selection.queries()[r * headDim + i];
                offset += rotated[i] * mean[tile.kvHead() * headDim + i];
            }
            sketches.rotation().apply(rotated, 0);
            float max = 0;
            for (float value : rotated) {
                max = Math.max(max, Math.abs(value));
            }
            float step = Math.max(max, Float.MIN_NORMAL) / ((1 << PLANES - 1) - 1);
            int sum = 0;
            for (int w = 0; w < words; w++) {
                int at = (r * words + w) * PLANES;
                for (int p = 0; p < PLANES; p++) {
                    planes[at + p] = 0;
                }
                for (int i = w * 64; i < Math.min(headDim, w * 64 + 64); i++) {
                    int level = Math.round(rotated[i] / step);
                    sum += level;
                    for (int p = 0; p < PLANES; p++) {
                        planes[at + p] |= (long) (level >>> p & 1) << i - w * 64;
                    }
                }
            }
            prepared[3 * r] = offset;
            prepared[3 * r + 1] = 2 * step;
            prepared[3 * r + 2] = -step * sum;
        }
    }

    @Override
    void logits(Selection selection, int entry, float[] logits, int to, int stride) {
        QueryTile tile = selection.tile();
        long[] source = sketches.of(selection.list().page(entry), tile.layer());
        int signs = sketches.signs(tile.kvHead());
        int factors = sketches.factors(tile.kvHead());
        int words = sketches.wordsPerToken();
        long[] planes = selection.planes();
        float[] prepared = selection.prepared();
        for (int r = 0; r < selection.rows(); r++) {
            int plane = r * words * PLANES;
            float offset = prepared[3 * r];
            float step = prepared[3 * r + 1];
            float minusSum = prepared[3 * r + 2];
            for (int t = 0; t < pageSize; t++) {
                int weighted = 0;
                for (int w = 0; w < words; w++) {
                    weighted += weigh(source[signs + t * words + w], planes, plane + w * PLANES);
                }
                float factor = Float.intBitsToFloat((int) (source[factors + (t >> 2)] >>> ((t & 3) << 4)) << 16);
                logits[to + r * stride + t] = offset + factor * (step * weighted + minusSum);
            }
        }
    }

    /** Sum of the query's levels where {@code signs} has a bit. */
    private static int weigh(long signs, long[] planes, int at) {
        return Long.bitCount(signs & planes[at])
                + (Long.bitCount(signs & planes[at + 1]) << 1)
                + (Long.bitCount(signs & planes[at + 2]) << 2)
                + (Long.bitCount(signs & planes[at + 3]) << 3)
                + (Long.bitCount(signs & planes[at + 4]) << 4)
                - (Long.bitCount(signs & planes[at + 5]) << 5);
    }
}
