package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.backend.cpu.Selection.Scratch;

/** Scores a page by the sum of its tokens' exponentials, from logits that a subclass estimates; it does so for selecting tokens too. */
abstract class TokenScorer implements PageScorer {

    private final CpuKernels kernels;

    TokenScorer(CpuKernels kernels) {
        this.kernels = kernels;
    }

    @Override
    public final boolean isShare() {
        return true;
    }

    /** Writes the logits of an entry's page: token {@code t} of row {@code r} to {@code to + r * stride + t}, the rows even in number. */
    abstract void logits(Selection selection, int entry, float[] logits, int to, int stride, Scratch scratch);

    /** Those of entries {@code from} to {@code end}, [rows][tokens]. */
    final void logits(Selection selection, int from, int end, float[] logits, int stride, Scratch scratch) {
        int pageSize = selection.tile().sequence().pageSize();
        for (int e = from; e < end; e++) {
            logits(selection, e, logits, (e - from) * pageSize, stride, scratch);
        }
    }

    @Override
    public final void score(
            Selection selection,
            int from,
            int end,
            float[] scores,
            int stride,
            float[] references,
            int reference,
            int referenceStride,
            Scratch scratch) {
        int pageSize = selection.tile().sequence().pageSize();
        int width = (end - from) * pageSize;
        float[] logits = scratch.floats(Attend.even(selection.rows()) * width);
        logits(selection, from, end, logits, width, scratch);
        hideUnread(selection, from, end, logits, 0, width);
        for (int r = 0; r < selection.rows(); r++) {
            float max = kernels.attention().max(logits, r * width, width);
            references[reference + r * referenceStride] = max;
            kernels.selection().expSums(logits, r * width, pageSize, end - from, max, scores, r * stride + from);
        }
    }

    /** Gives tokens that entries leave out no weight, in rows {@code stride} apart. */
    static void hideUnread(Selection selection, int from, int end, float[] logits, int to, int stride) {
        int pageSize = selection.tile().sequence().pageSize();
        for (int e = from; e < end; e++) {
            long mask = selection.tile().visible(selection.list(), e, selection.position());
            for (int r = 0; r < selection.rows(); r++) {
                Attend.hide(logits, to + r * stride + (e - from) * pageSize, 1, pageSize, mask);
            }
        }
    }
}
