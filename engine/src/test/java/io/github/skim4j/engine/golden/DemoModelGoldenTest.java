package io.github.skim4j.engine.golden;

import java.nio.file.Path;

/** The demo model from its safetensors. */
class DemoModelGoldenTest extends ChatGoldens {

    @Override
    Path modelPath() {
        return Shared.file("demo-model");
    }

    @Override
    Path goldensFile() {
        return Shared.file("demo-model/eval/goldens.jsonl");
    }
}
