package io.github.skim4j.engine.model;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/**
 * A model file of either format whose contents have been checked.
 *
 * @param byName the tensors that the config asks for
 * @param files open files
 */
record LoadedModel(
        Path path,
        ModelConfig config,
        List<Tensor> tensors,
        TensorNaming naming,
        Map<String, Tensor> byName,
        TokenizerSource tokenizer,
        SpecialTokens specialTokens,
        String chatTemplate,
        GenerationDefaults generationDefaults,
        List<ModelData> files)
        implements ModelFile {

    @Override
    public String name() {
        return path.toString();
    }

    @Override
    public Tensor find(TensorRole role, int layer) {
        return byName.get(naming.name(role, layer));
    }

    @Override
    public void close() {
        files.forEach(ModelData::close);
    }
}
