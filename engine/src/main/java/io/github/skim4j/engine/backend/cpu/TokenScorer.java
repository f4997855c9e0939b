package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.backend.cpu.Selection.Scratch;

/** Estimates the logits of a page's tokens by itself, for selecting pages or tokens. */
abstract class TokenScorer extends ShareScorer {

    TokenScorer(CpuKernels kernels) {
        super(kernels);
    }

    /** Writes the logits of an entry's page: token {@code t} of row {@code r} to {@code to + r * stride + t}, the rows even in number. */
    abstract void logits(Selection selection, int entry, float[] logits, int to, int stride, Scratch scratch);

    @Override
    final void logits(Selection selection, int from, int end, float[] logits, int stride, Scratch scratch) {
        int pageSize = selection.tile().sequence().pageSize();
        for (int e = from; e < end; e++) {
            logits(selection, e, logits, (e - from) * pageSize, stride, scratch);
        }
    }
}
