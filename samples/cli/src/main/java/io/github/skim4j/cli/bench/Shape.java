package io.github.skim4j.cli.bench;

import io.github.skim4j.engine.SkimException;
import io.github.skim4j.engine.model.Architecture;
import io.github.skim4j.engine.model.ModelConfig;
import io.github.skim4j.engine.model.Rope;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeSet;

/** Shapes of models, to measure speed without their weights. */
final class Shape {

    /** As in the models' config.json. */
    private static final Map<String, ModelConfig> KNOWN = Map.of(
            "llama-2-7b",
            new ModelConfig(
                    Architecture.LLAMA,
                    32_000,
                    4096,
                    11_008,
                    32,
                    32,
                    32,
                    128,
                    4096,
                    1e-5f,
                    new Rope(10_000, new Rope.None(), false),
                    0,
                    0,
                    false,
                    false),
            "llama-3.1-8b",
            new ModelConfig(
                    Architecture.LLAMA,
                    128_256,
                    4096,
                    14_336,
                    32,
                    32,
                    8,
                    128,
                    131_072,
                    1e-5f,
                    new Rope(500_000, new Rope.Llama3(8, 1, 4, 8192), false),
                    0,
                    0,
                    false,
                    false));

    private Shape() {}

    /** The shape of a known model, or that of a {@code config.json}. */
    static ModelConfig of(String shape) {
        ModelConfig known = KNOWN.get(shape);
        if (known != null) {
            return known;
        }
        Path file = Path.of(shape);
        if (!Files.isRegularFile(file)) {
            throw new SkimException("no shape is called '" + shape + "' and there is no such config.json; there are: "
                    + String.join(", ", new TreeSet<>(KNOWN.keySet())));
        }
        return ModelConfig.read(file);
    }
}
