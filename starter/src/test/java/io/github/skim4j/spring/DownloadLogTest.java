package io.github.skim4j.spring;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.springframework.boot.test.system.CapturedOutput;
import org.springframework.boot.test.system.OutputCaptureExtension;

@ExtendWith(OutputCaptureExtension.class)
class DownloadLogTest {

    private static final long MB = 1 << 20;

    private final DownloadLog log = new DownloadLog();

    @Test
    void largeFileIsLoggedEachTenth(CapturedOutput output) {
        for (long done = 0; done <= 1000 * MB; done += MB) {
            log.update("model.safetensors", done, 1000 * MB);
        }

        assertThat(lines(output)).hasSize(11);
        assertThat(output).contains("Downloading model.safetensors (1000 MB)");
        assertThat(output).contains("Downloading model.safetensors: 300 MB of 1000 MB");
    }

    @Test
    void smallFileIsLoggedOnce(CapturedOutput output) {
        log.update("config.json", 0, 700);
        log.update("config.json", 700, 700);

        assertThat(lines(output)).singleElement().asString().contains("Downloading config.json (1 MB)");
    }

    @Test
    void fileOfUnknownSize(CapturedOutput output) {
        log.update("model.gguf", 0, -1);
        log.update("model.gguf", 40 * MB, -1);

        assertThat(output).contains("Downloading model.gguf (size unknown)").contains("Downloading model.gguf: 40 MB");
    }

    @Test
    void resumedFileGoesOnFromWhereItIs(CapturedOutput output) {
        log.update("model.gguf", 510 * MB, 1000 * MB);
        log.update("model.gguf", 520 * MB, 1000 * MB);
        log.update("model.gguf", 600 * MB, 1000 * MB);

        assertThat(lines(output)).hasSize(2);
    }

    private static List<String> lines(CapturedOutput output) {
        return output.getOut()
                .lines()
                .filter(line -> line.contains("Downloading"))
                .toList();
    }
}
