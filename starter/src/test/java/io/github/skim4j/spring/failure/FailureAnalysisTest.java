package io.github.skim4j.spring.failure;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.skim4j.engine.Engine;
import io.github.skim4j.engine.SkimException;
import io.github.skim4j.engine.backend.BackendException;
import io.github.skim4j.engine.backend.DeviceMemoryException;
import io.github.skim4j.engine.chat.ChatTemplateException;
import io.github.skim4j.engine.kv.KvCacheFullException;
import io.github.skim4j.engine.model.ModelDownloadException;
import io.github.skim4j.engine.model.ModelFormatException;
import io.github.skim4j.engine.model.ModelNotFoundException;
import io.github.skim4j.spring.NoModelException;
import io.github.skim4j.spring.SkimAutoConfiguration;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.WebApplicationType;
import org.springframework.boot.autoconfigure.ImportAutoConfiguration;
import org.springframework.boot.test.system.CapturedOutput;
import org.springframework.boot.test.system.OutputCaptureExtension;
import org.springframework.context.support.GenericApplicationContext;

@ExtendWith(OutputCaptureExtension.class)
class FailureAnalysisTest {

    private static final String MODEL = "../engine/src/test/resources/goldens/models/llama-tied";
    private static final String README = "README.md";

    @ImportAutoConfiguration(SkimAutoConfiguration.class)
    static class Application {}

    static Stream<Arguments> failures() {
        return Stream.of(
                Arguments.of(new NoModelException("no model here"), "io.github.skim4j:skim-demo-model"),
                Arguments.of(new ModelNotFoundException("nothing at m"), "langchain4j.skim.hub.offline"),
                Arguments.of(new ModelDownloadException("connection lost"), "goes on with the download"),
                Arguments.of(new ModelFormatException("m: truncated"), "leaves a damaged file"),
                Arguments.of(
                        new DeviceMemoryException("heap too small"), "langchain4j.skim.kv-cache.memory to what fits"),
                Arguments.of(
                        new KvCacheFullException("too few pages"), "langchain4j.skim.kv-cache.memory to what fits"),
                Arguments.of(new ChatTemplateException("m has no chat template"), "Set langchain4j.skim.chat-template"),
                Arguments.of(new SkimException("context-length is 9"), "Correct the setting of langchain4j.skim"),
                Arguments.of(new BackendException("no CUDA driver"), "langchain4j.skim.device to auto"));
    }

    @ParameterizedTest
    @MethodSource("failures")
    void engineThatDoesNotOpen(SkimException failure, String action, CapturedOutput output) {
        SpringApplication application = application();
        application.addInitializers(context -> ((GenericApplicationContext) context).registerBean(Engine.class, () -> {
            throw failure;
        }));

        assertThatThrownBy(application::run).hasRootCause(failure);

        assertThat(output)
                .contains("APPLICATION FAILED TO START")
                .contains(failure.getMessage())
                .contains(action);
    }

    @Test
    void invalidPropertyNamesPropertyValueOriginAndReason(CapturedOutput output) {
        assertThatThrownBy(
                () -> application().run("--langchain4j.skim.model=m", "--langchain4j.skim.kv-cache.pageSize=7"));

        assertThat(output)
                .contains("Property: langchain4j.skim.kv-cache.page-size")
                .contains("Value: 7")
                .contains("Origin: \"langchain4j.skim.kv-cache.pageSize\" from property source \"commandLineArgs\"")
                .contains("Reason: kv-cache page-size must be 8, 16, 32 or 64, but is 7")
                .contains("Correct the value of langchain4j.skim.kv-cache.page-size.");
    }

    @Test
    void unknownAttentionMethodListsThoseThereAre(CapturedOutput output) {
        assertThatThrownBy(
                () -> application().run("--langchain4j.skim.model=m", "--langchain4j.skim.attention.method=telepathy"));

        assertThat(output)
                .contains("Property: langchain4j.skim.attention.method")
                .contains("there are: dense, quest, sketch,");
    }

    @Test
    void invalidSettingOfAnAttentionMethodNamesItsProperty(CapturedOutput output) {
        assertThatThrownBy(() -> application()
                .run(
                        "--langchain4j.skim.model=m",
                        "--langchain4j.skim.attention.method=twilight",
                        "--langchain4j.skim.attention.twilight.p=1.5"));

        assertThat(output)
                .contains("Property: langchain4j.skim.attention.twilight.p")
                .contains("Value: 1.5")
                .contains("Reason: twilight p must be above 0 and at most 1, but is 1.5");
    }

    @Test
    void budgetWithoutRoomForAPageTellsTheWayOut(CapturedOutput output) {
        assertThatThrownBy(() -> application()
                .run(
                        "--langchain4j.skim.model=m",
                        "--langchain4j.skim.attention.method=quest",
                        "--langchain4j.skim.attention.budget=32"));

        assertThat(output)
                .contains("Property: langchain4j.skim.attention.budget")
                .contains("Value: 32")
                .contains("raise attention.budget, or lower sinks, recent or kv-cache.page-size");
    }

    static Stream<Arguments> realFailures() {
        return Stream.of(
                Arguments.of("langchain4j.skim.model=/nowhere/model", "/nowhere/model", "Check langchain4j.skim.model"),
                Arguments.of("langchain4j.skim.model=" + README, "README.md", "a supported kind"),
                Arguments.of("langchain4j.skim.device=abacus", "no device 'abacus'", "langchain4j.skim.device to auto"),
                Arguments.of(
                        "langchain4j.skim.kv-cache.memory=9TB",
                        "exceeds the Java heap",
                        "Give the virtual machine more"),
                Arguments.of(
                        "langchain4j.skim.context-length=100000",
                        "context-length is 100000",
                        "Correct the setting of langchain4j.skim"),
                Arguments.of(
                        "langchain4j.skim.chat-template={% if",
                        "chat template", "Set langchain4j.skim.chat-template to a Jinja template"));
    }

    @ParameterizedTest
    @MethodSource("realFailures")
    void settingThatTheEngineRefuses(String property, String reason, String action, CapturedOutput output) {
        SpringApplication application = application();
        application.setDefaultProperties(Map.of("langchain4j.skim.model", MODEL));

        assertThatThrownBy(() -> application.run("--" + property));

        assertThat(output)
                .contains("APPLICATION FAILED TO START")
                .contains(reason)
                .contains(action);
    }

    @Test
    void valueOfTheWrongTypeIsSpringBootsToTell(CapturedOutput output) {
        assertThatThrownBy(() -> application().run("--langchain4j.skim.model=m", "--langchain4j.skim.weights=q3_1"));

        assertThat(output).contains("Property: langchain4j.skim.weights").contains("Value: \"q3_1\"");
    }

    private static SpringApplication application() {
        SpringApplication application = new SpringApplication(Application.class);
        application.setWebApplicationType(WebApplicationType.NONE);
        return application;
    }
}
