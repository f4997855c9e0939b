package io.github.skim4j.engine.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.skim4j.engine.model.ModelFile.TokenizerJsonText;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class GgufConverterTest {

    @TempDir
    Path folder;

    @ParameterizedTest
    @ValueSource(
            strings = {
                "llama-tied",
                "llama-untied",
                "llama-rope-linear",
                "llama-rope-dynamic",
                "llama-rope-yarn",
                "llama-rope-llama3",
                "mistral",
                "qwen2",
                "qwen3"
            })
    void carriesEverythingOver(String name) throws IOException {
        Path gguf = GoldenModels.gguf(name, null, folder.resolve("model.gguf"));
        try (ModelFile source = ModelFile.open(GoldenModels.path(name));
                ModelFile target = ModelFile.open(gguf)) {
            assertSameConfig(source.config(), target.config());
            assertThat(target.specialTokens()).isEqualTo(source.specialTokens());
            assertThat(target.chatTemplate()).isEqualTo(source.chatTemplate());
            assertThat(target.generationDefaults().endTokens())
                    .containsAll(source.generationDefaults().endTokens());
            assertThat(target.generationDefaults().temperature())
                    .isEqualTo(source.generationDefaults().temperature());
            String json = Files.readString(GoldenModels.path(name).resolve("tokenizer.json"));
            assertThat(target.tokenizer()).isEqualTo(new TokenizerJsonText(gguf, json));
            assertSameTensors(source, target);
        }
    }

    private static void assertSameConfig(ModelConfig source, ModelConfig target) {
        boolean llama = source.architecture() == Architecture.LLAMA || source.architecture() == Architecture.MISTRAL;
        assertThat(target.rope().interleaved()).isEqualTo(llama);
        assertThat(target.rope().theta()).isEqualTo(source.rope().theta());
        Rope.Scaling expected = source.rope().scaling();
        Rope.Scaling actual = target.rope().scaling();
        if (expected instanceof Rope.Llama3) {
            float[] divisors = ((Rope.Factors) actual).divisors();
            assertThat(divisors[0]).isEqualTo(1);
            assertThat(divisors[divisors.length - 1]).isEqualTo((float) ((Rope.Llama3) expected).factor());
            assertThat(divisors).isSorted();
        } else if (expected instanceof Rope.Yarn yarn) {
            assertThat(((Rope.Yarn) actual).attentionFactor()).isCloseTo(yarn.attentionFactor(), within(1e-6));
            assertThat(actual)
                    .usingRecursiveComparison()
                    .ignoringFields("attentionFactor")
                    .isEqualTo(yarn);
        } else {
            assertThat(actual).isEqualTo(expected);
        }
        assertThat(target)
                .usingRecursiveComparison()
                .ignoringFields("architecture", "rope")
                .isEqualTo(source);
    }

    private static void assertSameTensors(ModelFile source, ModelFile target) {
        ModelConfig config = source.config();
        for (TensorRole role : TensorRole.values()) {
            for (int layer = 0; layer < (role.perLayer() ? config.layers() : 1); layer++) {
                Tensor expected = source.find(role, layer);
                Tensor actual = target.find(role, layer);
                if (expected == null) {
                    assertThat(actual).isNull();
                    continue;
                }
                float[] values = expected.toFloats();
                boolean rotated = role.name().startsWith("QUERY") || role.name().startsWith("KEY");
                boolean norm = role.isNorm();
                if (target.config().rope().interleaved() && rotated && !norm) {
                    values = interleaved(values, config.headDim(), role.isMatrix() ? expected.columns() : 1);
                }
                assertThat(actual.toFloats()).as(actual.name()).containsExactly(values);
                assertThat(actual.type()).isEqualTo(role.isMatrix() ? expected.type() : TensorType.F32);
            }
        }
    }

    /** Element i of the first half of a head goes to 2i, that of the second half to 2i + 1. */
    private static float[] interleaved(float[] values, int headDim, int columns) {
        float[] result = new float[values.length];
        for (int row = 0; row < values.length / columns; row++) {
            int head = row / headDim * headDim;
            int i = row % headDim;
            int to = head + (i < headDim / 2 ? 2 * i : 2 * (i - headDim / 2) + 1);
            System.arraycopy(values, row * columns, result, to * columns, columns);
        }
        return result;
    }

    @ParameterizedTest
    @EnumSource(names = {"Q8_0", "Q4_0", "BF16", "F32"})
    void convertsMatricesAndKeepsVectorsF32(TensorType type) throws IOException {
        Path gguf = GoldenModels.gguf("qwen2", type, folder.resolve("model.gguf"));
        try (ModelFile source = ModelFile.open(GoldenModels.path("qwen2"));
                ModelFile target = ModelFile.open(gguf)) {
            for (Tensor tensor : target.tensors()) {
                boolean embedding =
                        tensor.name().startsWith("token_embd") || tensor.name().equals("output.weight");
                TensorType expected = tensor.rows() == 1
                        ? TensorType.F32
                        : embedding && type == TensorType.Q4_0 ? TensorType.Q8_0 : type;
                assertThat(tensor.type()).as(tensor.name()).isEqualTo(expected);
            }
            float[] original = source.require(TensorRole.DOWN, 1).toFloats();
            float[] converted = target.require(TensorRole.DOWN, 1).toFloats();
            float[] expected = new float[original.length];
            byte[] blocks = new byte[(int) type.bytes(original.length)];
            Quantization.quantize(type, original, 0, blocks, 0, original.length);
            Quantization.dequantize(type, blocks, 0, expected, 0, expected.length);
            assertThat(converted).containsExactly(expected);
        }
    }

    @Test
    void aGgufConvertedAgainStaysTheSame() throws IOException {
        Path once = GoldenModels.gguf("llama-untied", TensorType.Q8_0, folder.resolve("once.gguf"));
        Path twice = folder.resolve("twice.gguf");
        try (ModelFile first = ModelFile.open(once)) {
            GgufConverter.convert(first, twice, null);
            try (ModelFile second = ModelFile.open(twice)) {
                assertThat(second.config()).isEqualTo(first.config());
                assertThat(second.tensors()).hasSameSizeAs(first.tensors());
                for (int i = 0; i < first.tensors().size(); i++) {
                    assertThat(bytes(second.tensors().get(i)))
                            .isEqualTo(bytes(first.tensors().get(i)));
                }
                assertThat(((TokenizerJsonText) second.tokenizer()).json())
                        .isEqualTo(((TokenizerJsonText) first.tokenizer()).json());
                assertThat(second.generationDefaults()).isEqualTo(first.generationDefaults());
            }
        }
        assertThat(Arrays.stream(folder.toFile().list())).containsExactlyInAnyOrder("once.gguf", "twice.gguf");
    }

    private static byte[] bytes(Tensor tensor) {
        byte[] bytes = new byte[(int) tensor.bytes()];
        tensor.read(0, tensor.rows(), bytes, 0);
        return bytes;
    }
}
