package io.github.skim4j.engine.backend;

import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.kv.KvCacheConfig;
import io.github.skim4j.engine.model.WeightFormat;

/**
 * What a backend is opened with.
 *
 * @param ordinal which device of the kind, from 0
 * @param threads CPU threads; 0 takes all cores
 * @param contextLength most tokens of a sequence
 * @param maxBatchSize most spans in a step
 * @param maxTokens most tokens in a step, over all spans
 * @param attention method of most requests: the KV cache counts what it keeps beside keys and values into its memory
 * @param recallProbe share of the steps, 0 … 1, in which a sampled layer and KV head are compared with dense attention
 */
public record BackendConfig(
        int ordinal,
        int threads,
        int contextLength,
        int maxBatchSize,
        int maxTokens,
        KvCacheConfig kvCache,
        WeightFormat weights,
        AttentionMethod attention,
        double recallProbe) {}
