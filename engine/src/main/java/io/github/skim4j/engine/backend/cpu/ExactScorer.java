package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.backend.cpu.Selection.Scratch;

/** Logits from the keys themselves. */
final class ExactScorer extends TokenScorer {

    private final AttentionKernels kernels;
    private final KvPages pages;

    ExactScorer(CpuKernels kernels, KvPages pages) {
        super(kernels);
        this.kernels = kernels.attention();
        this.pages = pages;
    }

    @Override
    public int bytes() {
        return pages.tokenBytes() / 2 * pages.pageSize();
    }

    @Override
    void logits(Selection selection, int entry, float[] logits, int to, int stride, Scratch scratch) {
        QueryTile tile = selection.tile();
        pages.score(
                kernels,
                selection.list().page(entry),
                tile.layer(),
                tile.kvHead(),
                selection.queries(),
                selection.rows(),
                logits,
                to,
                stride);
    }
}
