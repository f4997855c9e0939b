package io.github.skim4j.cli.bench;

import io.github.skim4j.cli.SequenceRun;
import io.github.skim4j.engine.AttentionStats;
import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.attention.Dense;
import io.github.skim4j.engine.backend.Backend;
import io.github.skim4j.engine.backend.Span;

/** Random tokens on a backend: a dense prefill up to a depth, then decode steps of one token, for all methods from the same prefill. */
final class BackendBench {

    /** Decode steps before those that are measured: the first one makes what a method keeps of the prefill's pages. */
    static final int WARM_UP_STEPS = 2;

    private final SequenceRun.Pages pages;
    private final int depth;
    private final int[] ids;

    /** @param ids random tokens, for all steps */
    BackendBench(Backend backend, int pageSize, int depth, int[] ids) {
        this.pages = new SequenceRun.Pages(backend, pageSize);
        this.depth = depth;
        this.ids = ids;
    }

    /** Nanoseconds of a prefill of all tokens up to the depth. */
    long prefill() {
        try (SequenceRun run = pages.run(new Dense(), ids, depth)) {
            long start = System.nanoTime();
            run.prefill(Span.Logits.LAST);
            return System.nanoTime() - start;
        }
    }

    /** {@code tokens} steps of decode with {@code method}. */
    Run decode(AttentionMethod method, int tokens) {
        try (SequenceRun run = pages.run(method, ids, depth)) {
            run.takeShared();
            run.prefill(Span.Logits.NONE);
            for (int i = 0; i < WARM_UP_STEPS; i++) {
                run.next();
            }
            AttentionStats read = AttentionStats.NONE;
            long start = System.nanoTime();
            for (int i = 0; i < tokens; i++) {
                read = read.plus(run.next().attention());
            }
            return new Run(System.nanoTime() - start, read);
        }
    }

    record Run(long nanos, AttentionStats read) {}
}
