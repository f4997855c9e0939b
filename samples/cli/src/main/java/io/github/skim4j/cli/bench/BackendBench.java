package io.github.skim4j.cli.bench;

import io.github.skim4j.cli.SequenceRun;
import io.github.skim4j.engine.AttentionStats;
import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.attention.Dense;
import io.github.skim4j.engine.backend.Backend;
import io.github.skim4j.engine.backend.Backend.SpanResult;
import io.github.skim4j.engine.backend.Span;
import java.util.ArrayList;
import java.util.List;

/** Random tokens on a backend: a dense prefill up to a depth, then decode steps of one token, for all methods from the same prefill. */
final class BackendBench {

    /** Decode steps before those that are measured: the first one makes what a method keeps of the prefill's pages. */
    static final int WARM_UP_STEPS = 2;

    private final SequenceRun.Pages pages;
    private final int depth;
    private final int[][] ids;

    /**
     * @param chunk prompt tokens in a step
     * @param ids random tokens for all steps of each sequence
     */
    BackendBench(Backend backend, int pageSize, int chunk, int depth, int[][] ids) {
        this.pages = new SequenceRun.Pages(backend, pageSize, chunk);
        this.depth = depth;
        this.ids = ids;
    }

    /** Nanoseconds of a prefill of all tokens of one sequence up to the depth. */
    long prefill() {
        try (SequenceRun run = pages.run(new Dense(), ids[0], depth)) {
            long start = System.nanoTime();
            run.prefill(Span.Logits.LAST);
            return System.nanoTime() - start;
        }
    }

    /** {@code tokens} steps of decode of all sequences with {@code method}. */
    Run decode(AttentionMethod method, int tokens) {
        List<SequenceRun> runs = new ArrayList<>();
        try {
            for (int[] sequence : ids) {
                SequenceRun run = pages.run(method, sequence, depth);
                runs.add(run);
                run.takeShared();
                run.prefill(Span.Logits.NONE);
            }
            for (int i = 0; i < WARM_UP_STEPS; i++) {
                SequenceRun.next(runs, Span.Logits.TOKEN);
            }
            AttentionStats read = AttentionStats.NONE;
            long start = System.nanoTime();
            for (int i = 0; i < tokens; i++) {
                for (SpanResult result : SequenceRun.next(runs, Span.Logits.TOKEN)) {
                    read = read.plus(result.attention());
                }
            }
            return new Run(System.nanoTime() - start, read);
        } finally {
            runs.forEach(SequenceRun::close);
        }
    }

    record Run(long nanos, AttentionStats read) {}
}
