package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.attention.EvictionMethod;
import io.github.skim4j.engine.attention.Tova;
import io.github.skim4j.engine.kv.KvSequence;
import io.github.skim4j.engine.model.ModelConfig;
import java.util.BitSet;

/** Packs what each layer and KV head keeps of a sequence into its first slots. */
final class Evictor {

    private final ModelConfig config;
    private final KvPages pages;
    private final TokenRecords records;
    private final WorkerTeam team;

    Evictor(ModelConfig config, KvPages pages, TokenRecords records, WorkerTeam team) {
        this.config = config;
        this.pages = pages;
        this.records = records;
        this.team = team;
    }

    /** See {@link io.github.skim4j.engine.backend.Backend#evict}. */
    void run(KvSequence sequence, EvictionMethod method, int keep) {
        int heads = config.kvHeads();
        if (method instanceof Tova) {
            team.run(config.layers(), (worker, layer) -> evict(sequence, method, keep, layer, 0, heads));
        } else {
            team.run(
                    config.layers() * heads,
                    (worker, i) -> evict(sequence, method, keep, i / heads, i % heads, i % heads + 1));
        }
    }

    /** Keeps the same tokens for KV heads {@code firstHead} to {@code endHead}, by the sum of their attention. */
    private void evict(KvSequence sequence, EvictionMethod method, int keep, int layer, int firstHead, int endHead) {
        int count = sequence.slots();
        int pageSize = sequence.pageSize();
        int[] positions = new int[count];
        float[] attention = new float[count];
        for (int slot = 0; slot < count; slot += pageSize) {
            int page = sequence.page(slot / pageSize);
            int end = Math.min(pageSize, count - slot);
            System.arraycopy(records.positions(page), records.index(layer, firstHead), positions, slot, end);
            for (int head = firstHead; head < endHead; head++) {
                for (int i = 0; i < end; i++) {
                    attention[slot + i] += records.attention(page)[records.index(layer, head) + i];
                }
            }
        }
        BitSet kept =
                KeptTokens.choose(method, attention, positions, count, sequence.length(), config.window(layer), keep);
        int to = kept.nextClearBit(0);
        for (int from = kept.nextSetBit(keep); from >= 0; from = kept.nextSetBit(from + 1)) {
            for (int head = firstHead; head < endHead; head++) {
                move(sequence, from, to, layer, head);
            }
            to = kept.nextClearBit(to + 1);
        }
    }

    private void move(KvSequence sequence, int from, int to, int layer, int kvHead) {
        int pageSize = sequence.pageSize();
        int page = sequence.page(from / pageSize);
        int toPage = sequence.page(to / pageSize);
        pages.copy(page, from % pageSize, toPage, to % pageSize, layer, kvHead);
        records.copy(page, from % pageSize, toPage, to % pageSize, layer, kvHead);
    }
}
