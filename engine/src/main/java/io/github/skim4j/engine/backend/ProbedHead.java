package io.github.skim4j.engine.backend;

import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.model.ModelConfig;

/** The layer and KV head of a decode step that the recall probe compares with dense attention. */
public record ProbedHead(int layer, int kvHead) {

    private static final int GRAIN = 1 << 24;

    /**
     * @param share of the steps that are compared, 0 … 1
     * @param position of the step's token, on which alone the choice depends
     * @return {@code null} if the step is none of those
     */
    public static ProbedHead of(double share, int position, AttentionMethod method, ModelConfig config) {
        int chance = (int) Math.round(share * GRAIN);
        int layers = config.layers() - method.denseLayers();
        CounterRandom random = new CounterRandom(position);
        if (layers <= 0 || random.nextBelow(0, GRAIN) >= chance) {
            return null;
        }
        return new ProbedHead(
                method.denseLayers() + random.nextBelow(1, layers), random.nextBelow(2, config.kvHeads()));
    }
}
