package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.AttentionStats;
import io.github.skim4j.engine.backend.ProbedHead;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.model.ModelConfig;

/** Compares what a selecting method read with dense attention, in a share of the decode steps, each time for one layer and KV head. */
final class RecallProbe {

    private final ModelConfig config;
    private final Attend attend;
    private final double share;

    /** @param share of the steps, 0 … 1 */
    RecallProbe(ModelConfig config, Attend attend, double share) {
        this.config = config;
        this.attend = attend;
        this.share = share;
    }

    /** Whether the step is one of those, and the tile's layer and head are its. */
    boolean picks(Span span, QueryTile tile) {
        if (span.count() > 1) {
            return false;
        }
        ProbedHead picked = ProbedHead.of(share, tile.firstPosition(), span.attention(), config);
        return picked != null && picked.layer() == tile.layer() && picked.kvHead() == tile.kvHead();
    }

    /** @param output what attention made of the selection, [row][heads * headDim] */
    AttentionStats compare(Selection selection, float[] output) {
        QueryTile tile = selection.tile();
        TokenList read = new TokenList();
        TokenList weighted = selection.list();
        for (int e = 0; e < weighted.size(); e++) {
            read.add(weighted.page(e), weighted.slot(e), weighted.mask(e), 0, weighted.query(e));
        }
        Attend.Result dense = attend.whole(tile, selection.retained(), selection.queries());
        Attend.Result kept = attend.whole(tile, read, selection.queries());
        double mass = 0;
        double error = 0;
        int headDim = config.headDim();
        for (int r = 0; r < selection.rows(); r++) {
            mass += kept.share(dense, r);
            int from = (tile.firstRow() * config.heads() + tile.kvHead() * config.group() + r) * headDim;
            double difference = 0;
            double norm = 0;
            for (int i = 0; i < headDim; i++) {
                double exact = dense.values()[r * headDim + i] / dense.sums()[r];
                difference += Math.pow(output[from + i] - exact, 2);
                norm += exact * exact;
            }
            error += norm == 0 ? 0 : Math.sqrt(difference / norm);
        }
        return AttentionStats.ofProbe(new AttentionStats.Probe(1, mass / selection.rows(), error / selection.rows()));
    }
}
