package io.github.skim4j.cuda;

import io.github.skim4j.engine.attention.Dense;
import io.github.skim4j.engine.backend.Backend;
import io.github.skim4j.engine.backend.BackendConfig;
import io.github.skim4j.engine.backend.BackendException;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.backend.cpu.RandomModels;
import io.github.skim4j.engine.kv.KvCacheConfig;
import io.github.skim4j.engine.kv.KvCacheConfig.KvType;
import io.github.skim4j.engine.kv.KvSequence;
import io.github.skim4j.engine.kv.PagePool;
import io.github.skim4j.engine.model.ModelConfig;
import io.github.skim4j.engine.model.TensorType;
import io.github.skim4j.engine.model.WeightFormat;
import java.util.List;
import java.util.Random;

/** Makes a GPU write where nothing is, which ends CUDA in its process: a program of its own. Prints what the backend throws, then {@code closed}. */
final class FaultyStep {

    private static final int FAR_PAGE = 3_000_000;

    private FaultyStep() {}

    public static void main(String[] arguments) {
        Random random = new Random(1);
        ModelConfig config = RandomModels.config(random, 32, Sequences.CONTEXT);
        KvCacheConfig kv = new KvCacheConfig(16, KvType.BF16, 16L << 20, false);
        Backend backend = new CudaBackendProvider()
                .open(
                        RandomModels.weights(config, TensorType.F16, random),
                        new BackendConfig(0, 0, Sequences.CONTEXT, 1, 512, kv, WeightFormat.AS_STORED, new Dense(), 0));
        PagePool pool = new PagePool(FAR_PAGE + 1);
        KvSequence filler = new KvSequence(pool, kv.pageSize());
        filler.reserve(FAR_PAGE * kv.pageSize());
        KvSequence far = new KvSequence(pool, kv.pageSize());
        far.reserve(1);
        try {
            backend.forward(List.of(new Span(far, new int[] {1}, 0, 1, new Dense(), Span.Logits.LAST)));
        } catch (BackendException e) {
            System.out.println(e.getMessage());
        }
        backend.close();
        backend.close();
        System.out.println("closed");
    }
}
