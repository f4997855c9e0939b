package io.github.skim4j.engine.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class LabelChannelsTest {

    private static final ModelConfig CONFIG = new ModelConfig(
            Architecture.LLAMA,
            10,
            4,
            8,
            1,
            2,
            2,
            4,
            64,
            1e-5f,
            new Rope(10_000, new Rope.None(), false),
            0,
            0,
            false,
            true);

    private static final LabelChannels CHANNELS =
            LabelChannels.ofWeights(new float[][][] {{{0.1f, 3, 2, 0}, {5, 1, 4, 2}}});

    @TempDir
    Path folder;

    @Test
    void ranksByWeightAndTakesTheFirst() {
        assertThat(CHANNELS.ranking()).isDeepEqualTo(new int[][][] {{{1, 2, 0, 3}, {0, 2, 3, 1}}});
        assertThat(CHANNELS.first(3)).isDeepEqualTo(new int[][][] {{{0, 1, 2}, {0, 2, 3}}});
    }

    @Test
    void liesBesideAFileAndInADirectory() throws IOException {
        Path model = folder.resolve("m.gguf");
        assertThat(LabelChannels.readIfThere(model, CONFIG)).isNull();
        CHANNELS.write(LabelChannels.fileOf(model));
        assertThat(folder.resolve("m.gguf.label-channels.json")).exists();
        assertThat(LabelChannels.readIfThere(model, CONFIG).ranking()).isDeepEqualTo(CHANNELS.ranking());
        CHANNELS.write(LabelChannels.fileOf(folder));
        assertThat(folder.resolve("label-channels.json")).exists();
        assertThat(LabelChannels.readIfThere(folder, CONFIG).ranking()).isDeepEqualTo(CHANNELS.ranking());
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "{",
                "[]",
                "{}",
                "{\"label_channels\": 3}",
                "{\"label_channels\": [[[0, 1, 2, 3], [0, 1, 2, \"x\"]]]}",
                "{\"label_channels\": [[[0, 1, 2, 3]]]}",
                "{\"label_channels\": [[[0, 1, 2, 3], [0, 1, 2, 4]]]}",
                "{\"label_channels\": [[[0, 1, 2, 3], null]]}",
                "{\"label_channels\": [[[0, 1, 2, 3], [0, 0, 1, 2]]]}",
                "{\"label_channels\": [null]}"
            })
    void refusesADamagedFileByName(String json) throws IOException {
        Path file = folder.resolve("m.gguf.label-channels.json");
        Files.writeString(file, json);
        assertThatThrownBy(() -> LabelChannels.readIfThere(folder.resolve("m.gguf"), CONFIG))
                .isInstanceOf(ModelFormatException.class)
                .hasMessageContaining(file.toString());
    }
}
