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
        QueryTile tile = selection.tile();
        float[] factors = scratch.levels(pageSize);
        float[] offsets = new float[selection.rows()];
        float[] last = null;
        for (int e = from; e < end; e++) {
            long[] page = sketches.of(selection.list().page(e), tile.layer());
            float[] means = sketches.means(selection.list().page(e), tile.layer());
            for (int r = 0; means != last && r < offsets.length; r++) {
                offsets[r] = product(selection.queries(), r * headDim, means, tile.kvHead() * headDim);
            }
            last = means;
            factors(page, sketches.factors(tile.kvHead()), factors);
            for (int r = 0; r < offsets.length; r++) {
                int to = r * stride + (e - from) * pageSize;
                if (sketches.wordsPerToken() == 1) {
                    oneWord(page, sketches.signs(tile.kvHead()), selection, r, factors, offsets[r], logits, to);
                } else {
                    someWords(page, sketches.signs(tile.kvHead()), selection, r, factors, offsets[r], logits, to);
                }
            }
        }
    }

    /** A token's logit is offset + factor * (step * (sum of the query's levels where it has a bit) + minus sum of all levels). */
    private void oneWord(
            long[] page,
            int signs,
            Selection selection,
            int row,
            float[] factors,
            float offset,
            float[] logits,
            int to) {
        long[] planes = selection.planes();
        int plane = row * PLANES;
        long p0 = planes[plane];
        long p1 = planes[plane + 1];
        long p2 = planes[plane + 2];
        long p3 = planes[plane + 3];
        float step = selection.prepared()[2 * row];
        float minusSum = selection.prepared()[2 * row + 1];
        for (int t = 0; t < pageSize; t++) {
            long bits = page[signs + t];
            int sum = Long.bitCount(bits & p0)
                    + (Long.bitCount(bits & p1) << 1)
                    + (Long.bitCount(bits & p2) << 2)
                    - (Long.bitCount(bits & p3) << 3);
            logits[to + t] = offset + factors[t] * (step * sum + minusSum);
        }
    }

    /** The same for larger heads: {@link #oneWord} has the planes in registers. */
    private void someWords(
            long[] page,
            int signs,
            Selection selection,
            int row,
            float[] factors,
            float offset,
            float[] logits,
            int to) {
        long[] planes = selection.planes();
        int words = sketches.wordsPerToken();
        float step = selection.prepared()[2 * row];
        float minusSum = selection.prepared()[2 * row + 1];
        for (int t = 0; t < pageSize; t++) {
            int sum = 0;
            for (int w = 0; w < words; w++) {
                long bits = page[signs + w * pageSize + t];
                int plane = (row * words + w) * PLANES;
                sum += Long.bitCount(bits & planes[plane])
                        + (Long.bitCount(bits & planes[plane + 1]) << 1)
                        + (Long.bitCount(bits & planes[plane + 2]) << 2)
                        - (Long.bitCount(bits & planes[plane + 3]) << 3);
            }
            logits[to + t] = offset + factors[t] * (step * sum + minusSum);
        }
    }

    private float product(float[] query, int from, float[] mean, int at) {
        float sum = 0;
        for (int i = 0; i < headDim; i++) {
            sum += query[from + i] * mean[at + i];
        }
        return sum;
    }

    private void factors(long[] page, int from, float[] factors) {
        for (int t = 0; t < pageSize; t += 4) {
            long word = page[from + t / 4];
            factors[t] = Float.intBitsToFloat((int) word << 16);
            factors[t + 1] = Float.intBitsToFloat((int) word & 0xffff0000);
            factors[t + 2] = Float.intBitsToFloat((int) (word >>> 32) << 16);
            factors[t + 3] = Float.intBitsToFloat((int) (word >>> 32) & 0xffff0000);
        }
    }

    @Override
    void expSums(float[] logits, int from, int size, int pages, float shift, float[] sums, int to) {
        kernels.roughExpSums(logits, from, size, pages, shift, sums, to);
    }
}
