package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.backend.cpu.Selection.Scratch;

/** Logits from {@link KeySketches}: the rotated query in a few bit planes, so that a token's sum of signs is a handful of population counts. */
final class SketchScorer extends ShareScorer {

    /** Bits of a rotated query's values, in two's complement. */
    private static final int PLANES = 4;

    private final SelectionKernels kernels;
    private final KeySketches sketches;
    private final int headDim;
    private final int pageSize;

    SketchScorer(CpuKernels kernels, KeySketches sketches, int headDim, int pageSize) {
        super(kernels);
        this.kernels = kernels.selection();
        this.sketches = sketches;
        this.headDim = headDim;
        this.pageSize = pageSize;
    }

    @Override
    public int bytes() {
        return sketches.bytes();
    }

    /** For each row the step of the planes' numbers and minus the sum of the rotated query; then the planes, [row][word][plane]. */
    @Override
    public void prepare(Selection selection) {
        int words = sketches.wordsPerToken();
        float[] prepared = selection.prepared(2 * selection.rows());
        long[] planes = selection.planes(selection.rows() * words * PLANES);
        float[] rotated = new float[headDim];
        for (int r = 0; r < selection.rows(); r++) {
            System.arraycopy(selection.queries(), r * headDim, rotated, 0, headDim);
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
            prepared[2 * r] = 2 * step;
            prepared[2 * r + 1] = -step * sum;
        }
    }

    @Override
    void logits(Selection selection, int from, int end, float[] logits, int stride, Scratch scratch) {
        int words = sketches.wordsPerToken();
        float[] prepared = selection.prepared();
        int[] counts = scratch.counts(stride);
        float[] factors = scratch.levels(stride);
        QueryTile tile = selection.tile();
        for (int e = from; e < end; e++) {
            long[] page = sketches.of(selection.list().page(e), tile.layer());
            factors(page, sketches.factors(tile.kvHead()), factors, (e - from) * pageSize);
        }
        for (int r = 0; r < selection.rows(); r++) {
            for (int e = from; e < end; e++) {
                long[] page = sketches.of(selection.list().page(e), tile.layer());
                int signs = sketches.signs(tile.kvHead());
                int at = (e - from) * pageSize;
                count(page, signs, words, selection.planes(), r * words * PLANES, counts, at, pageSize);
            }
            for (int e = from; e < end; ) {
                float[] means = means(selection, e);
                int next = e + 1;
                while (next < end && means(selection, next) == means) {
                    next++;
                }
                int at = (e - from) * pageSize;
                int size = (next - e) * pageSize;
                float offset = product(selection.queries(), r * headDim, means, tile.kvHead() * headDim);
                kernels.signLogits(
                        counts,
                        factors,
                        at,
                        size,
                        offset,
                        prepared[2 * r],
                        prepared[2 * r + 1],
                        logits,
                        r * stride + at);
                e = next;
            }
        }
    }

    private float[] means(Selection selection, int entry) {
        return sketches.means(selection.list().page(entry), selection.tile().layer());
    }

    private float product(float[] query, int from, float[] mean, int at) {
        float sum = 0;
        for (int i = 0; i < headDim; i++) {
            sum += query[from + i] * mean[at + i];
        }
        return sum;
    }

    private void factors(long[] page, int from, float[] factors, int to) {
        for (int t = 0; t < pageSize; t += 4) {
            long word = page[from + t / 4];
            factors[to + t] = Float.intBitsToFloat((int) word << 16);
            factors[to + t + 1] = Float.intBitsToFloat((int) word & 0xffff0000);
            factors[to + t + 2] = Float.intBitsToFloat((int) (word >>> 32) << 16);
            factors[to + t + 3] = Float.intBitsToFloat((int) (word >>> 32) & 0xffff0000);
        }
    }

    /** Sums of the query's levels where each token's signs have a bit. */
    private static void count(
            long[] page, int signs, int words, long[] planes, int plane, int[] counts, int to, int pageSize) {
        for (int w = 0; w < words; w++) {
            long p0 = planes[plane + w * PLANES];
            long p1 = planes[plane + w * PLANES + 1];
            long p2 = planes[plane + w * PLANES + 2];
            long p3 = planes[plane + w * PLANES + 3];
            for (int t = 0; t < pageSize; t++) {
                long bits = page[signs + w * pageSize + t];
                int sum = Long.bitCount(bits & p0)
                        + (Long.bitCount(bits & p1) << 1)
                        + (Long.bitCount(bits & p2) << 2)
                        - (Long.bitCount(bits & p3) << 3);
                counts[to + t] = w == 0 ? sum : counts[to + t] + sum;
            }
        }
    }

    @Override
    void expSums(float[] logits, int from, int size, int pages, float shift, float[] sums, int to) {
        kernels.roughExpSums(logits, from, size, pages, shift, sums, to);
    }
}
