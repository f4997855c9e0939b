package io.github.skim4j.engine.model;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import io.github.skim4j.engine.model.ModelFile.GenerationDefaults;
import io.github.skim4j.engine.model.ModelFile.SpecialTokens;
import io.github.skim4j.engine.model.ModelFile.TokenizerJson;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** Opens directories with {@code config.json}, safetensors and {@code tokenizer.json}. */
final class HuggingFaceLoader {

    static final String CONFIG = "config.json";
    static final String GENERATION_CONFIG = "generation_config.json";
    static final String TOKENIZER = "tokenizer.json";
    static final String TOKENIZER_CONFIG = "tokenizer_config.json";
    static final String CHAT_TEMPLATE = "chat_template.jinja";
    static final String INDEX = "model.safetensors.index.json";
    private static final String SINGLE = "model.safetensors";

    private static final long MAX_TEMPLATE = 4 << 20;

    private final Path directory;

    private HuggingFaceLoader(Path directory) {
        this.directory = directory;
    }

    static ModelFile open(Path directory) {
        List<ModelData> files = new ArrayList<>();
        try {
            return new HuggingFaceLoader(directory).load(files);
        } catch (RuntimeException e) {
            files.forEach(ModelData::close);
            throw e;
        }
    }

    /** @param files receives what has been opened, also if this throws */
    private ModelFile load(List<ModelData> files) {
        Fields fields = Json.read(require(CONFIG));
        ModelConfig config = HuggingFaceConfig.read(fields);
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        for (Path path : tensorFiles()) {
            ModelData data = ModelData.open(path);
            files.add(data);
            Safetensors.read(data).forEach((name, tensor) -> {
                if (tensors.put(name, tensor) != null) {
                    throw new ModelFormatException(path + ": tensor " + name + " is in another file, too");
                }
            });
        }
        Map<String, Tensor> byName = TensorNaming.HUGGING_FACE.check(directory.toString(), config, tensors);
        Path tokenizer = require(TOKENIZER);
        TokenizerFacts facts = TokenizerFacts.read(tokenizer);
        Fields tokenizerConfig = Json.readIfThere(directory.resolve(TOKENIZER_CONFIG));
        SpecialTokens specialTokens = specialTokens(tokenizerConfig, facts);
        return new LoadedModel(
                directory,
                config,
                List.copyOf(tensors.values()),
                TensorNaming.HUGGING_FACE,
                byName,
                new TokenizerJson(tokenizer),
                specialTokens,
                chatTemplate(tokenizerConfig),
                generationDefaults(fields, config, facts.ids.get(specialTokens.eos())),
                List.copyOf(files));
    }

    private Path require(String name) {
        Path file = directory.resolve(name);
        if (!Files.isRegularFile(file)) {
            throw new ModelFormatException(directory + ": has no " + name
                    + "; a model directory needs config.json, tokenizer.json and *.safetensors");
        }
        return file;
    }

    private List<Path> tensorFiles() {
        Path index = directory.resolve(INDEX);
        if (Files.isRegularFile(index)) {
            return indexed(index);
        }
        if (Files.isRegularFile(directory.resolve(SINGLE))) {
            return List.of(directory.resolve(SINGLE));
        }
        List<Path> files = new ArrayList<>();
        try (DirectoryStream<Path> found = Files.newDirectoryStream(directory, "*.safetensors")) {
            found.forEach(files::add);
        } catch (IOException | DirectoryIteratorException e) {
            throw new ModelFormatException(directory + ": can't be read: " + e, e);
        }
        if (files.isEmpty()) {
            throw new ModelFormatException(directory + ": has no *.safetensors");
        }
        return files.stream().sorted().toList();
    }

    private List<Path> indexed(Path index) {
        Fields map = Json.read(index).object("weight_map");
        if (map == null || map.values().isEmpty()) {
            throw new ModelFormatException(index + ": weight_map is missing");
        }
        Set<String> names = new TreeSet<>();
        for (String tensor : map.values().keySet()) {
            String name = map.string(tensor);
            // The index may come from anywhere and must not lead out of the directory.
            if (name == null || !name.matches("[\\w.-]+\\.safetensors")) {
                throw map.error(tensor, "must be the plain name of a safetensors file");
            }
            names.add(name);
        }
        return names.stream()
                .map(name -> {
                    Path file = directory.resolve(name);
                    if (!Files.isRegularFile(file)) {
                        throw new ModelFormatException(index + ": the file " + name + " is missing");
                    }
                    return file;
                })
                .toList();
    }

    private static SpecialTokens specialTokens(Fields config, TokenizerFacts facts) {
        String bos = token(config, "bos_token");
        return new SpecialTokens(
                bos,
                token(config, "eos_token"),
                token(config, "unk_token"),
                token(config, "pad_token"),
                bos != null && config.flag("add_bos_token", bos.equals(facts.firstToken)));
    }

    /** A token is written as a string or as an object with its content. */
    private static String token(Fields config, String key) {
        return config.raw(key) instanceof Map ? config.object(key).string("content") : config.string(key);
    }

    private String chatTemplate(Fields tokenizerConfig) {
        Path file = directory.resolve(CHAT_TEMPLATE);
        if (Files.isRegularFile(file)) {
            try {
                if (Files.size(file) > MAX_TEMPLATE) {
                    throw new ModelFormatException(file + ": is larger than " + MAX_TEMPLATE + " bytes");
                }
                return new String(Files.readAllBytes(file), StandardCharsets.UTF_8);
            } catch (IOException e) {
                throw new ModelFormatException(file + ": can't be read: " + e, e);
            }
        }
        String key = "chat_template";
        if (!(tokenizerConfig.raw(key) instanceof List)) {
            return tokenizerConfig.string(key);
        }
        for (Fields template : tokenizerConfig.objects(key)) {
            if ("default".equals(template.string("name"))) {
                return template.string("template");
            }
        }
        return null;
    }

    /**
     * @param config of {@code config.json}, whose end token counts, too
     * @param eos id of the tokenizer's end token or {@code null}
     */
    private GenerationDefaults generationDefaults(Fields config, ModelConfig model, Integer eos) {
        Fields generation = Json.readIfThere(directory.resolve(GENERATION_CONFIG));
        Set<Integer> endTokens = new TreeSet<>();
        String key = "eos_token_id";
        IntStream.concat(generation.tokens(key, model.vocabSize()), config.tokens(key, model.vocabSize()))
                .forEach(endTokens::add);
        if (eos != null) {
            endTokens.add(eos);
        }
        Double temperature = generation.optionalNumber("temperature", 0);
        if (generation.has("do_sample")) {
            temperature =
                    !generation.flag("do_sample", false) ? Double.valueOf(0) : temperature == null ? 1 : temperature;
        }
        return new GenerationDefaults(
                Set.copyOf(endTokens),
                temperature,
                generation.has("top_k") ? (Integer) generation.integer("top_k", 0, Integer.MAX_VALUE) : null,
                generation.optionalNumber("top_p", 0),
                generation.optionalNumber("min_p", 0),
                generation.optionalNumber("repetition_penalty", 0));
    }

    /**
     * What opening a model needs from its {@code tokenizer.json}, which is otherwise the tokenizer's business.
     *
     * @param ids of added tokens, by content
     * @param firstToken token that the post-processor puts before a text; {@code null} if none
     */
    private record TokenizerFacts(Map<String, Integer> ids, String firstToken) {

        static TokenizerFacts read(Path file) {
            Map<String, Integer> ids = new HashMap<>();
            String firstToken = null;
            try (JsonParser parser = Json.MAPPER.createParser(file.toFile())) {
                if (parser.nextToken() != JsonToken.START_OBJECT) {
                    throw new ModelFormatException(file + ": is not a JSON object");
                }
                while (parser.nextToken() == JsonToken.FIELD_NAME) {
                    String name = parser.currentName();
                    parser.nextToken();
                    switch (name) {
                        case "added_tokens" -> {
                            Map<String, Object> field = Collections.singletonMap(name, Json.value(parser));
                            for (Fields token : new Fields(file.toString(), "", field).objects(name)) {
                                ids.put(token.string("content"), token.integer("id", 0, GgufLoader.MAX_SIZE));
                            }
                        }
                        case "post_processor" -> firstToken = firstToken(Json.value(parser));
                        default -> parser.skipChildren();
                    }
                }
            } catch (IOException e) {
                throw Json.syntaxError(file.toString(), e);
            }
            return new TokenizerFacts(ids, firstToken);
        }

        /** Looks for a template such as {@code [BOS] $A}, alone or in a sequence of processors. */
        private static String firstToken(Object processor) {
            if (!(processor instanceof Map<?, ?> map)) {
                return null;
            }
            if (map.get("processors") instanceof List<?> processors) {
                return processors.stream()
                        .map(TokenizerFacts::firstToken)
                        .flatMap(Stream::ofNullable)
                        .findFirst()
                        .orElse(null);
            }
            return map.get("single") instanceof List<?> single
                            && !single.isEmpty()
                            && single.get(0) instanceof Map<?, ?> first
                            && first.get("SpecialToken") instanceof Map<?, ?> token
                            && token.get("id") instanceof String id
                    ? id
                    : null;
        }
    }
}
