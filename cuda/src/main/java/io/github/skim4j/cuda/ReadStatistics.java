package io.github.skim4j.cuda;

import io.github.skim4j.cuda.RowMethod.Rank;
import io.github.skim4j.cuda.SelectionPlan.Interval;
import io.github.skim4j.cuda.Step.Observed;
import io.github.skim4j.engine.AttentionStats;
import io.github.skim4j.engine.attention.EvictionMethod;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.model.ModelConfig;

/** What the entries of a step read, from what the device counted of their lists and what is known without it. */
final class ReadStatistics {

    private final ModelConfig config;
    private final int pageSize;
    private final int tokenBytes;

    /** @param tokenBytes of a token's key and value of one layer and KV head */
    ReadStatistics(ModelConfig config, int pageSize, int tokenBytes) {
        this.config = config;
        this.pageSize = pageSize;
        this.tokenBytes = tokenBytes;
    }

    /**
     * Of one entry with a method that is not dense.
     *
     * @param index of its token in the span
     * @param tokens counted by the device, in all layers whose interval has stages
     * @param pages likewise
     */
    AttentionStats of(SelectionPlan plan, int entry, Span span, int index, long tokens, long pages) {
        int denseLayers = span.attention().denseLayers();
        int position = span.sequence().length() + index;
        long attended = tokens;
        long pagesRead = pages;
        long total = 0;
        long selectionBytes = 0;
        for (Interval interval : plan.intervals()) {
            int window = config.window(interval.from());
            VisibleSlots visible = VisibleSlots.of(span, index, window);
            boolean counts = interval.from() >= denseLayers;
            boolean listed = interval.isListed();
            long heads = (long) interval.layers() * config.kvHeads();
            if (counts != listed) {
                // Read whole, and counted by the device though it should not be, or the other way round.
                long factor = counts ? heads : -heads;
                attended += factor * visible.tokens();
                pagesRead += factor * visible.pages();
            }
            if (counts) {
                total += heads * Math.min(position + 1, window);
                RowMethod method = listed ? interval.methods().get(entry) : RowMethod.DENSE;
                selectionBytes += interval.layers() * selectionBytes(method, visible.pages());
            }
        }
        if (span.attention() instanceof EvictionMethod && Observed.of(span).count() > 0) {
            selectionBytes += attended * tokenBytes / 2;
        }
        return new AttentionStats(
                attended,
                total,
                0,
                pagesRead,
                attended * tokenBytes + selectionBytes,
                total * tokenBytes,
                AttentionStats.Time.NONE,
                AttentionStats.Probe.NONE);
    }

    /** What a method reads in a layer to select. */
    long selectionBytes(RowMethod method, int visiblePages) {
        long bytes = 0;
        int pages = visiblePages;
        if (method.first() != Rank.NONE && method.firstPages() < pages) {
            bytes += (long) bytes(method.first(), method.channels(config.headDim())) * (pages - 1);
            pages = method.firstPages();
        }
        if (method.second() != Rank.NONE && method.secondPages() < pages) {
            bytes += (long) bytes(method.second(), config.headDim()) * (pages - 1);
            pages = method.secondPages();
        }
        if (method.prunes()) {
            Rank estimate = method.exactLogits() ? Rank.EXACT : Rank.INT4;
            bytes += (long) bytes(estimate, config.headDim()) * (pages - 1);
        }
        return bytes * config.kvHeads();
    }

    private int bytes(Rank rank, int channels) {
        return switch (rank) {
            case EXACT -> pageSize * tokenBytes / 2;
            case NONE, REUSED, RANDOM -> 0;
            default -> new PageData(rank, channels).bytes(pageSize);
        };
    }
}
