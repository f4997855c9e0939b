package io.github.skim4j.cli.inspect;

import io.github.skim4j.engine.backend.BackendProvider;
import io.github.skim4j.engine.backend.Device;
import io.github.skim4j.engine.kv.KvCacheConfig;
import io.github.skim4j.engine.model.ModelConfig;
import io.github.skim4j.engine.model.ModelFile;
import io.github.skim4j.engine.model.Tensor;
import io.github.skim4j.engine.model.TensorRole;
import io.github.skim4j.engine.model.TensorType;
import io.github.skim4j.engine.model.WeightFormat;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.function.UnaryOperator;

/**
 * What is known of a model without loading it, as it is printed with {@code --json}, in snake case.
 *
 * @param source the reference that was asked for
 */
record ModelReport(
        String model,
        String source,
        long parameters,
        ModelConfig config,
        List<TensorGroup> tensors,
        TokenizerReport tokenizer,
        String chatTemplate,
        ModelFile.GenerationDefaults generation,
        Memory memory) {

    /**
     * Tensors of one stored type.
     *
     * @param loadedAs by kind of device the types of these matrices in its memory; vectors become F32
     */
    record TensorGroup(TensorType type, int count, long bytes, Map<String, List<TensorType>> loadedAs) {}

    /**
     * @param kind {@code tokenizer.json}, {@code SentencePiece} or {@code BPE}
     */
    record TokenizerReport(String kind, String bos, String eos, String unk, String pad, boolean addBos) {}

    /**
     * @param weightsBytes all weights in the types that they are loaded as on the CPU
     * @param kvBytesPerToken keys and values of a token
     */
    record Memory(long weightsBytes, KvCacheConfig.KvType kvType, long kvBytesPerToken, List<ContextMemory> contexts) {}

    /** One sequence of {@code context} tokens: its keys and values, and these with the weights. */
    record ContextMemory(int context, long kvBytes, long totalBytes) {}

    static ModelReport of(String name, String source, ModelFile file, WeightFormat weights, List<Integer> contexts) {
        Map<Tensor, TensorType> loaded = loadedTypes(file, weights, type -> type);
        Map<String, Map<Tensor, TensorType>> devices = new TreeMap<>();
        for (BackendProvider provider : Device.providers()) {
            devices.put(provider.name(), loadedTypes(file, weights, provider::computedType));
        }
        return new ModelReport(
                name,
                source,
                loaded.keySet().stream()
                        .mapToLong(tensor -> (long) tensor.rows() * tensor.columns())
                        .sum(),
                file.config(),
                groups(file.tensors(), devices),
                tokenizer(file),
                file.chatTemplate(),
                file.generationDefaults(),
                memory(file.config(), loaded, contexts));
    }

    /** Each tensor that the engine loads, with its type in memory. */
    private static Map<Tensor, TensorType> loadedTypes(
            ModelFile file, WeightFormat weights, UnaryOperator<TensorType> device) {
        Map<Tensor, TensorType> types = new IdentityHashMap<>();
        for (TensorRole role : TensorRole.values()) {
            int layers = role.perLayer() ? file.config().layers() : 1;
            for (int layer = 0; layer < layers; layer++) {
                Tensor tensor = file.find(role, layer);
                if (tensor != null) {
                    types.put(
                            tensor, role.isMatrix() ? device.apply(weights.loadedType(tensor, role)) : TensorType.F32);
                }
            }
        }
        return types;
    }

    private static List<TensorGroup> groups(List<Tensor> tensors, Map<String, Map<Tensor, TensorType>> devices) {
        Map<TensorType, List<Tensor>> byType = new EnumMap<>(TensorType.class);
        tensors.forEach(tensor ->
                byType.computeIfAbsent(tensor.type(), type -> new ArrayList<>()).add(tensor));
        return byType.entrySet().stream()
                .map(group -> new TensorGroup(
                        group.getKey(),
                        group.getValue().size(),
                        group.getValue().stream().mapToLong(Tensor::bytes).sum(),
                        loadedAs(group.getValue(), devices)))
                .toList();
    }

    private static Map<String, List<TensorType>> loadedAs(
            List<Tensor> tensors, Map<String, Map<Tensor, TensorType>> devices) {
        Map<String, List<TensorType>> types = new TreeMap<>();
        devices.forEach((device, loaded) -> types.put(
                device,
                tensors.stream()
                        .map(loaded::get)
                        .filter(Objects::nonNull)
                        .distinct()
                        .sorted()
                        .toList()));
        return types;
    }

    private static TokenizerReport tokenizer(ModelFile file) {
        ModelFile.SpecialTokens special = file.specialTokens();
        String kind = file.tokenizer() instanceof ModelFile.GgufVocabulary vocabulary
                ? vocabulary.model().equals("llama") ? "SentencePiece" : "BPE"
                : "tokenizer.json";
        return new TokenizerReport(kind, special.bos(), special.eos(), special.unk(), special.pad(), special.addBos());
    }

    private static Memory memory(ModelConfig config, Map<Tensor, TensorType> loaded, List<Integer> contexts) {
        long weights = loaded.entrySet().stream()
                .mapToLong(entry -> entry.getValue()
                        .bytes((long) entry.getKey().rows() * entry.getKey().columns()))
                .sum();
        long perToken = KvCacheConfig.DEFAULT.tokenBytes(config);
        return new Memory(
                weights,
                KvCacheConfig.DEFAULT.type(),
                perToken,
                contexts.stream()
                        .map(context -> new ContextMemory(context, context * perToken, weights + context * perToken))
                        .toList());
    }
}
