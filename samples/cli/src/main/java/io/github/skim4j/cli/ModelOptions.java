package io.github.skim4j.cli;

import io.github.skim4j.engine.model.WeightFormat;
import picocli.CommandLine.Option;

/** Which model, and how its weights are kept. */
public final class ModelOptions {

    @Option(
            names = {"-m", "--model"},
            paramLabel = "M",
            description =
                    "Folder, .gguf file, classpath:RESOURCE or Hugging Face id (default: the bundled demo model).")
    private String model;

    @Option(
            names = {"-w", "--weights"},
            paramLabel = "W",
            converter = WeightFormats.class,
            defaultValue = "as-stored",
            description = "Quantise at load: as-stored, q8_0 or q4_0 (default: ${DEFAULT-VALUE}).")
    private WeightFormat weights;

    public boolean isNamed() {
        return model != null;
    }

    public String reference() {
        return model != null ? model : DefaultModel.reference(ModelOptions.class.getClassLoader());
    }

    public WeightFormat weights() {
        return weights;
    }
}
