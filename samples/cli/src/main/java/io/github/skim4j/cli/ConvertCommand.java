package io.github.skim4j.cli;

import io.github.skim4j.engine.SkimException;
import io.github.skim4j.engine.model.GgufConverter;
import io.github.skim4j.engine.model.ModelFile;
import io.github.skim4j.engine.model.ResolvedModel;
import io.github.skim4j.engine.model.TensorType;
import io.github.skim4j.engine.model.WeightFormat;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** A model as one GGUF file. */
@Command(
        name = "convert",
        description = "Writes a model with its tokenizer and chat template as one GGUF file, quantised on request.",
        mixinStandardHelpOptions = true,
        versionProvider = Version.class)
final class ConvertCommand implements Callable<Integer> {

    private final Host host;

    @Spec
    private CommandSpec spec;

    @Parameters(
            index = "0",
            paramLabel = "MODEL",
            description = "Folder, .gguf file, classpath:RESOURCE or Hugging Face id.")
    private String model;

    @Parameters(index = "1", paramLabel = "OUT.gguf", description = "File to write.")
    private Path target;

    @Option(
            names = {"-w", "--weights"},
            paramLabel = "W",
            converter = WeightFormats.class,
            defaultValue = "as-stored",
            description =
                    "Type of the matrices: as-stored, q8_0, or q4_0 with the embedding in q8_0 (default: ${DEFAULT-VALUE}).")
    private WeightFormat weights;

    @Option(names = "--force", description = "Overwrite the file if there is one.")
    private boolean force;

    ConvertCommand(Host host) {
        this.host = host;
    }

    @Override
    public Integer call() throws IOException {
        if (!target.toString().toLowerCase(Locale.ROOT).endsWith(".gguf")) {
            throw new ParameterException(spec.commandLine(), "the file to write must end in .gguf, but is " + target);
        }
        if (!force && Files.exists(target)) {
            throw new SkimException(target + " exists: give another name, or --force to overwrite it");
        }
        try (ResolvedModel resolved = host.resolve(model);
                ModelFile file = ModelFile.open(resolved.path())) {
            if (Files.exists(target) && Files.isSameFile(target, resolved.path())) {
                throw new SkimException(target + " is the model itself: give another name");
            }
            GgufConverter.convert(file, target, type());
        }
        spec.commandLine().getErr().println(String.format(Locale.ROOT, "%s: %,d bytes", target, Files.size(target)));
        return 0;
    }

    /** Type of matrices as the converter wants it: {@code null} is as stored. */
    private TensorType type() {
        return switch (weights) {
            case AS_STORED -> null;
            case Q8_0 -> TensorType.Q8_0;
            case Q4_0 -> TensorType.Q4_0;
        };
    }
}
