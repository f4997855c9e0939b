package io.github.skim4j.spring.actuate;

import io.github.skim4j.engine.Engine;
import java.util.Map;
import org.springframework.boot.actuate.info.Info;
import org.springframework.boot.actuate.info.InfoContributor;

/** Model, device and context length. */
public class SkimInfoContributor implements InfoContributor {

    private final Engine engine;

    public SkimInfoContributor(Engine engine) {
        this.engine = engine;
    }

    @Override
    public void contribute(Info.Builder builder) {
        builder.withDetail(
                "skim",
                Map.of(
                        "model", engine.modelName(),
                        "device", engine.stats().device(),
                        "contextLength", engine.contextLength()));
    }
}
