package io.github.skim4j.cli;

import io.github.skim4j.engine.SkimException;
import io.github.skim4j.engine.attention.Dense;
import io.github.skim4j.engine.backend.Backend;
import io.github.skim4j.engine.backend.BackendConfig;
import io.github.skim4j.engine.backend.Device;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.kv.KvCacheConfig;
import io.github.skim4j.engine.kv.KvSequence;
import io.github.skim4j.engine.kv.PagePool;
import io.github.skim4j.engine.model.LabelChannels;
import io.github.skim4j.engine.model.ModelFile;
import io.github.skim4j.engine.model.ResolvedModel;
import io.github.skim4j.engine.tokenizer.Tokenizer;
import io.github.skim4j.engine.tokenizer.Tokenizers;
import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** The label channels of Double Sparsity. */
@Command(
        name = "calibrate",
        description = {
            "Finds out on a text which dimensions of the model's keys matter most to attention, and stores them beside the model.",
            "The attention method double-sparsity needs that.",
        },
        mixinStandardHelpOptions = true,
        versionProvider = Version.class)
final class CalibrateCommand implements Callable<Integer> {

    private static final int MIN_TOKENS = 256;

    private final Host host;

    @Spec
    private CommandSpec spec;

    @Mixin
    private ModelOptions model;

    @Option(
            names = {"-x", "--text"},
            paramLabel = "F",
            required = true,
            description = "UTF-8 text, best of the kind that the model will read.")
    private Path text;

    @Option(
            names = {"-n", "--tokens"},
            paramLabel = "N",
            defaultValue = "2048",
            description = "Tokens of the text to use, from its first on (default: ${DEFAULT-VALUE}).")
    private int tokens;

    @Option(
            names = {"-o", "--out"},
            paramLabel = "F.json",
            description = "File to write (default: where the engine looks for it, beside the model).")
    private Path out;

    CalibrateCommand(Host host) {
        this.host = host;
    }

    @Override
    public Integer call() throws IOException {
        if (tokens < MIN_TOKENS) {
            throw new ParameterException(
                    spec.commandLine(), "--tokens must be " + MIN_TOKENS + " or more, but is " + tokens);
        }
        if (out == null && model.reference().startsWith("classpath:")) {
            throw new ParameterException(
                    spec.commandLine(),
                    "a model on the class path has no place beside it: give --out, or --model as a path");
        }
        String content = TextFiles.read(text);
        try (ResolvedModel resolved = host.resolve(model.reference());
                ModelFile file = ModelFile.open(resolved.path())) {
            int[] prompt = encode(file, content);
            Path target = out != null ? out : LabelChannels.fileOf(resolved.path());
            measure(file, prompt).write(target);
            spec.commandLine().getErr().println(target + ": from " + Math.min(tokens, prompt.length) + " tokens");
        }
        return 0;
    }

    private int[] encode(ModelFile file, String content) {
        try (Tokenizer tokenizer = Tokenizers.of(file.tokenizer())) {
            int[] prompt = tokenizer.encode(content);
            if (prompt.length < MIN_TOKENS) {
                throw new SkimException(
                        text + " has " + prompt.length + " tokens: take a text of " + MIN_TOKENS + " or more");
            }
            return prompt;
        }
    }

    private LabelChannels measure(ModelFile file, int[] prompt) {
        int count = Math.min(tokens, Math.min(prompt.length, file.config().contextLength()));
        int pageSize = KvCacheConfig.DEFAULT.pageSize();
        long memory = (count / pageSize + 1L) * pageSize * KvCacheConfig.DEFAULT.tokenBytes(file.config());
        BackendConfig config = new BackendConfig(
                0,
                0,
                count,
                1,
                count,
                new KvCacheConfig(pageSize, KvCacheConfig.DEFAULT.type(), memory, false),
                model.weights(),
                new Dense(),
                0);
        try (Backend backend = Device.choose("cpu").provider().open(file, config);
                KvSequence sequence = new KvSequence(new PagePool(backend.pages()), pageSize)) {
            sequence.reserve(count);
            Span span = new Span(sequence, prompt, 0, count, new Dense(), Span.Logits.NONE);
            return LabelChannels.ofWeights(backend.channelWeights(span));
        }
    }
}
