package io.github.skim4j.engine.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.fail;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.util.RawValue;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.TreeSet;
import java.util.function.Consumer;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What opening a model reads, and that a damaged one gives a clear error whatever the damage. */
class ModelFileTest {

    private static final ObjectMapper JSON = new ObjectMapper();

    @TempDir
    Path folder;

    private static void open(Path path) {
        ModelFile.open(path).close();
    }

    private void assertRefused(Path path, String... parts) {
        assertThatThrownBy(() -> open(path))
                .isInstanceOf(ModelFormatException.class)
                .satisfies(e -> {
                    assertThat(e.getMessage()).contains(folder.toString());
                    for (String part : parts) {
                        assertThat(e.getMessage()).contains(part);
                    }
                });
    }

    private Path with(String model, Consumer<ObjectNode> change) throws IOException {
        return with(model, "config.json", change);
    }

    private Path with(String model, String file, Consumer<ObjectNode> change) throws IOException {
        Path copy = GoldenModels.copy(model, folder.resolve("model"));
        ObjectNode json = (ObjectNode) JSON.readTree(copy.resolve(file).toFile());
        change.accept(json);
        JSON.writeValue(copy.resolve(file).toFile(), json);
        return copy;
    }

    private static ModelConfig config(Path path) {
        try (ModelFile model = ModelFile.open(path)) {
            return model.config();
        }
    }

    @Test
    void readsShapesOfAllArchitectures() {
        ModelConfig qwen2 = config(GoldenModels.path("qwen2"));
        assertThat(qwen2.architecture()).isEqualTo(Architecture.QWEN2);
        assertThat(qwen2.window(0)).isEqualTo(Integer.MAX_VALUE);
        assertThat(qwen2.window(1)).isEqualTo(16);
        assertThat(qwen2.headDim() * qwen2.heads()).isEqualTo(qwen2.hiddenSize());

        ModelConfig qwen3 = config(GoldenModels.path("qwen3"));
        assertThat(qwen3.qkNorm()).isTrue();
        assertThat(qwen3.group()).isEqualTo(8);

        ModelConfig mistral = config(GoldenModels.path("mistral"));
        assertThat(mistral.window(0)).isEqualTo(16);

        assertThat(config(GoldenModels.path("llama-untied")).tiedEmbeddings()).isFalse();
        ModelConfig yarn = config(GoldenModels.path("llama-rope-yarn"));
        assertThat(yarn.rope().scaling()).isEqualTo(new Rope.Yarn(4, 32, 32, 1, 0.1 * Math.log(4) + 1, true));
    }

    @Test
    void readsRopeInTheFormsOfOldAndNewTransformers() throws IOException {
        Path model = with("llama-tied", config -> {
            config.remove("rope_theta");
            config.putObject("rope_parameters")
                    .put("rope_type", "linear")
                    .put("rope_theta", 12345.0)
                    .put("factor", 2.0);
        });
        Rope rope = config(model).rope();
        assertThat(rope).isEqualTo(new Rope(12345, new Rope.Linear(2), false));

        try (ModelFile unscaled = ModelFile.open(GoldenModels.path("llama-tied"))) {
            assertThat(ModelConfig.read(model.resolve("config.json")).contextLength())
                    .isEqualTo(2 * unscaled.config().contextLength());
        }
    }

    @Test
    void readsTemplatesTokensAndDefaults() throws IOException {
        Path model = with("llama-tied", "tokenizer_config.json", config -> {
            config.putArray("chat_template")
                    .add(JSON.createObjectNode().put("name", "tool_use").put("template", "tools"))
                    .add(JSON.createObjectNode().put("name", "default").put("template", "plain"));
            config.putObject("eos_token").put("content", "<e>");
        });
        Files.writeString(
                model.resolve("generation_config.json"),
                "{\"eos_token_id\":[1,2],\"do_sample\":true,\"top_k\":20,\"top_p\":0.9}");
        try (ModelFile file = ModelFile.open(model)) {
            assertThat(file.chatTemplate()).isEqualTo("plain");
            assertThat(file.specialTokens().eos()).isEqualTo("<e>");
            assertThat(file.generationDefaults().endTokens()).contains(1, 2);
            assertThat(file.generationDefaults().temperature()).isEqualTo(1);
            assertThat(file.generationDefaults().topK()).isEqualTo(20);
        }
        Files.writeString(model.resolve("chat_template.jinja"), "from its file");
        try (ModelFile file = ModelFile.open(model)) {
            assertThat(file.chatTemplate()).isEqualTo("from its file");
        }
    }

    @ParameterizedTest
    @CsvSource({
        "hidden_size, -64",
        "hidden_size, 64.5",
        "hidden_size, NaN",
        "hidden_size, 99999999999999",
        "hidden_size, \"64\"",
        "hidden_size, null",
        "num_hidden_layers, 0",
        "num_hidden_layers, 1000000",
        "num_attention_heads, 0",
        "vocab_size, []",
        "rms_norm_eps, NaN",
        "rms_norm_eps, -1",
        "rms_norm_eps, Infinity",
        "rope_theta, 0",
        "max_position_embeddings, 0",
        "architectures, [\"GemmaForCausalLM\"]",
        "architectures, null",
        "hidden_act, \"gelu\"",
        "tie_word_embeddings, 1",
        "quantization_config, {}",
        "partial_rotary_factor, 0.5"
    })
    void refusesConfigurationsThatMakeNoSense(String field, String value) throws IOException {
        Path model = GoldenModels.copy("llama-tied", folder.resolve("model"));
        JsonNode json = JSON.readTree(model.resolve("config.json").toFile());
        ((ObjectNode) json).set(field, JSON.getNodeFactory().rawValueNode(new RawValue(value)));
        JSON.writeValue(model.resolve("config.json").toFile(), json);
        if (field.equals("architectures") && value.equals("null")) {
            open(model); // model_type says it, too
        } else {
            assertRefused(model, "config.json", field);
        }
    }

    @Test
    void refusesShapesThatDoNotFitTheTensors() throws IOException {
        assertRefused(with("llama-tied", config -> config.put("intermediate_size", 32)), "tensor", "[32]");
        assertRefused(with2("mistral", config -> config.put("num_key_value_heads", 5)), "kvHeads", "5");
    }

    private Path with2(String model, Consumer<ObjectNode> change) throws IOException {
        Path copy = GoldenModels.copy(model, folder.resolve("second"));
        ObjectNode json = (ObjectNode) JSON.readTree(copy.resolve("config.json").toFile());
        change.accept(json);
        JSON.writeValue(copy.resolve("config.json").toFile(), json);
        return copy;
    }

    @ParameterizedTest
    @ValueSource(strings = {"config.json", "model.safetensors", "tokenizer.json"})
    void namesTheFileThatIsMissingOrNoJson(String file) throws IOException {
        Path model = GoldenModels.copy("llama-tied", folder.resolve("model"));
        if (file.endsWith(".json")) {
            Files.writeString(model.resolve(file), "{\"a\":");
            assertRefused(model, file, "JSON");
        }
        Files.delete(model.resolve(file));
        assertRefused(model, file.endsWith(".json") ? file : "*.safetensors");
    }

    @Test
    void refusesAnIndexThatLeadsOutOfTheFolder() throws IOException {
        Path model = with(
                "llama-untied",
                "model.safetensors.index.json",
                index -> ((ObjectNode) index.get("weight_map")).put("model.norm.weight", "../other.safetensors"));
        assertRefused(model, "model.norm.weight", "plain name");
        Files.delete(model.resolve("model-00002-of-00002.safetensors"));
        Files.delete(model.resolve("model.safetensors.index.json"));
        assertRefused(model, "is missing");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "\"dtype\":\"BF16\" | \"dtype\":\"I64\"  | I64",
                "\"dtype\":\"BF16\" | \"dtype\":\"F32\"  | beyond the end",
                "\"dtype\":\"BF16\" | \"dtype\":null   | dtype",
                "\"shape\":[64]     | \"shape\":[-4]   | shape",
                "\"shape\":[64]     | \"shape\":[63]   | data_offsets",
                "\"shape\":[64]     | \"shape\":6400   | shape"
            })
    void refusesSafetensorsThatContradictThemselves(String from, String to, String part) throws IOException {
        Path model = GoldenModels.copy("llama-tied", folder.resolve("model"));
        Path file = model.resolve("model.safetensors");
        byte[] bytes = Files.readAllBytes(file);
        int length = (int) ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getLong();
        String header = new String(bytes, 8, length, StandardCharsets.UTF_8);
        String norm = "\"model.norm.weight\":{";
        int at = header.indexOf(norm);
        String changed = header.substring(0, at) + header.substring(at).replaceFirst(Pattern.quote(from), to);
        assertThat(changed).isNotEqualTo(header);
        byte[] json = changed.getBytes(StandardCharsets.UTF_8);
        ByteBuffer out =
                ByteBuffer.allocate(8 + json.length + bytes.length - 8 - length).order(ByteOrder.LITTLE_ENDIAN);
        out.putLong(json.length).put(json).put(bytes, 8 + length, bytes.length - 8 - length);
        Files.write(file, out.array());
        assertRefused(model, "model.norm.weight", part.strip());
    }

    @Test
    void refusesGgufsThatContradictThemselves() throws IOException {
        Path gguf = GoldenModels.gguf("llama-rope-llama3", TensorType.Q8_0, folder.resolve("model.gguf"));
        byte[] bytes = Files.readAllBytes(gguf);
        record Case(String change, Consumer<ByteBuffer> edit, String part) {}
        List<Case> cases = List.of(
                new Case("magic", b -> b.putInt(0, 1), "not a GGUF"),
                new Case("version", b -> b.putInt(4, 1), "version 1"),
                new Case("endianness", b -> b.putInt(4, 3 << 24), "big-endian"),
                new Case("tensor count", b -> b.putLong(8, Long.MAX_VALUE), "tensor count"),
                new Case("negative tensor count", b -> b.putLong(8, -1), "tensor count"),
                new Case("metadata count", b -> b.putLong(16, 1L << 40), "metadata count"),
                new Case("key length", b -> b.putLong(24, 1L << 60), "name of metadata entry 0"),
                new Case("tensor type", b -> b.putInt(typeAt(bytes, "blk.0.ffn_up.weight"), 99), "unknown type 99"),
                new Case("columns", b -> b.putLong(typeAt(bytes, "blk.0.ffn_up.weight") - 16, 33), "whole blocks"),
                new Case("rows", b -> b.putLong(typeAt(bytes, "blk.0.ffn_up.weight") - 8, 1L << 40), "dimension 1"),
                new Case("dimensions", b -> b.putInt(typeAt(bytes, "blk.0.ffn_up.weight") - 20, 77), "77 dimensions"),
                new Case("alignment", b -> b.putLong(typeAt(bytes, "blk.0.ffn_up.weight") + 4, 33), "aligned"),
                new Case("overlap", b -> b.putLong(typeAt(bytes, "blk.0.ffn_up.weight") + 4, 0), "overlap"),
                new Case("offset", b -> b.putLong(typeAt(bytes, "blk.0.ffn_up.weight") + 4, -32), "beyond the end"),
                new Case("name", b -> b.put(at(bytes, "blk.0.ffn_up.weight"), (byte) 'x'), "ffn_up.weight"),
                new Case("architecture", b -> b.put(at(bytes, "general.architecture") + 32, (byte) 'x'), "xlama"));
        for (Case c : cases) {
            byte[] damaged = bytes.clone();
            c.edit.accept(ByteBuffer.wrap(damaged).order(ByteOrder.LITTLE_ENDIAN));
            Files.write(gguf, damaged);
            assertThatThrownBy(() -> open(gguf))
                    .as(c.change)
                    .isInstanceOf(ModelFormatException.class)
                    .hasMessageContaining(gguf.toString())
                    .hasMessageContaining(c.part);
        }
    }

    private static int at(byte[] bytes, String text) {
        int at = new String(bytes, StandardCharsets.ISO_8859_1).indexOf(text);
        assertThat(at).isPositive();
        return at;
    }

    /** Where a matrix's type stands: after its name, the number of dimensions and two of them. */
    private static int typeAt(byte[] bytes, String tensor) {
        return at(bytes, tensor) + tensor.length() + 4 + 16;
    }

    @Test
    void aFileThatIsCutGivesOneError() throws IOException {
        Path gguf = GoldenModels.gguf("llama-tied", TensorType.Q4_0, folder.resolve("model.gguf"));
        assertCutsAreRefused(gguf, gguf);
        Path model = GoldenModels.copy("llama-tied", folder.resolve("model"));
        assertCutsAreRefused(model, model.resolve("model.safetensors"));
    }

    private static void assertCutsAreRefused(Path model, Path file) throws IOException {
        byte[] bytes = Files.readAllBytes(file);
        TreeSet<Integer> lengths = new TreeSet<>(List.of(0, 1, 7, 8, 23, 24, 25, bytes.length - 33));
        SplittableRandom random = new SplittableRandom(5);
        for (int i = 0; i < 100; i++) {
            lengths.add(random.nextInt(Math.min(bytes.length - 64, 12_000)));
            lengths.add(random.nextInt(bytes.length - 64));
        }
        for (int length : lengths) {
            Files.write(file, Arrays.copyOf(bytes, length));
            assertThatThrownBy(() -> open(model)).as("cut to %d", length).isInstanceOf(ModelFormatException.class);
        }
    }

    @Test
    void flippedBytesGiveOneErrorOrAModel() throws IOException {
        long seed = System.nanoTime();
        Path gguf = GoldenModels.gguf("qwen2", TensorType.Q8_0, folder.resolve("model.gguf"));
        assertFlipsAreHarmless(gguf, gguf, 8_000, seed);
        Path model = GoldenModels.copy("qwen3", folder.resolve("model"));
        for (String file : List.of(
                "model.safetensors",
                "config.json",
                "tokenizer.json",
                "tokenizer_config.json",
                "generation_config.json")) {
            assertFlipsAreHarmless(model, model.resolve(file), 4_000, seed);
        }
    }

    private static void assertFlipsAreHarmless(Path model, Path file, int header, long seed) throws IOException {
        byte[] bytes = Files.readAllBytes(file);
        SplittableRandom random = new SplittableRandom(seed);
        for (int i = 0; i < 200; i++) {
            byte[] damaged = bytes.clone();
            List<Integer> places = new ArrayList<>();
            for (int flips = random.nextInt(1, 4); flips > 0; flips--) {
                int at = random.nextInt(Math.min(header, damaged.length));
                damaged[at] = (byte) random.nextInt(256);
                places.add(at);
            }
            Files.write(file, damaged);
            try {
                open(model);
            } catch (ModelFormatException e) {
                assertThat(e.getMessage()).isNotBlank();
            } catch (RuntimeException | Error e) {
                fail("seed " + seed + ", " + file.getFileName() + " changed at " + places, e);
            }
        }
        Files.write(file, bytes);
    }

    @Test
    void namesAPathThatIsNotThere() {
        assertThatThrownBy(() -> ModelFile.open(folder.resolve("nothing")))
                .isInstanceOf(ModelNotFoundException.class)
                .hasMessageContaining("nothing");
    }

    @Test
    void aFileThatShrinksAfterItWasOpenedGivesAnError() throws IOException {
        Path gguf = GoldenModels.gguf("llama-tied", null, folder.resolve("model.gguf"));
        try (ModelFile model = ModelFile.open(gguf)) {
            Tensor tensor = model.require(TensorRole.DOWN, 1);
            try (FileChannel channel = FileChannel.open(gguf, StandardOpenOption.WRITE)) {
                channel.truncate(30_000);
            }
            assertThatThrownBy(tensor::toFloats)
                    .isInstanceOf(ModelFormatException.class)
                    .hasMessageContaining("ends at byte");
            ByteBuffer buffer = ByteBuffer.allocateDirect((int) tensor.bytes());
            assertThatThrownBy(() -> tensor.read(0, tensor.rows(), buffer))
                    .isInstanceOf(ModelFormatException.class)
                    .hasMessageContaining("ends at byte");
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void readsRowsIntoABuffer(boolean stored) {
        try (ModelFile model = ModelFile.open(GoldenModels.path("llama-tied"))) {
            Tensor tensor = model.require(TensorRole.DOWN, 1);
            Tensor source = stored ? tensor : new Rows(tensor);
            byte[] expected = new byte[5 * tensor.rowBytes()];
            tensor.read(3, 5, expected, 0);
            for (ByteBuffer buffer :
                    List.of(ByteBuffer.allocate(expected.length + 9), ByteBuffer.allocateDirect(expected.length + 9))) {
                buffer.position(4).limit(expected.length + 6);
                source.read(3, 5, buffer);
                assertThat(buffer.position()).isEqualTo(4 + expected.length);
                assertThat(buffer.limit()).isEqualTo(expected.length + 6);
                byte[] read = new byte[expected.length];
                buffer.get(4, read);
                assertThat(read).isEqualTo(expected);
                assertThat(buffer.get(3)).isZero();
                assertThat(buffer.get(4 + expected.length)).isZero();
            }
            assertThatThrownBy(() -> source.read(tensor.rows() - 1, 2, ByteBuffer.allocate(expected.length)))
                    .isInstanceOf(IndexOutOfBoundsException.class);
        }
    }

    /** A tensor that reads only into arrays. */
    private record Rows(Tensor of) implements Tensor {

        @Override
        public String name() {
            return of.name();
        }

        @Override
        public TensorType type() {
            return of.type();
        }

        @Override
        public int rows() {
            return of.rows();
        }

        @Override
        public int columns() {
            return of.columns();
        }

        @Override
        public void read(int from, int count, byte[] target, int offset) {
            of.read(from, count, target, offset);
        }
    }
}
