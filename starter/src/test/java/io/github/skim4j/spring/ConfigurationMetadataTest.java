package io.github.skim4j.spring;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.attention.PageSelector;
import io.github.skim4j.engine.attention.Quest;
import io.github.skim4j.engine.attention.Twilight;
import io.github.skim4j.engine.attention.VAttention;
import io.github.skim4j.engine.kv.KvCacheConfig.KvType;
import io.github.skim4j.engine.model.WeightFormat;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

class ConfigurationMetadataTest {

    /** The values of these come from the environment or the model, or are not set. */
    private static final Set<String> WITHOUT_DEFAULT = Set.of(
            "model",
            "chat-template",
            "attention.budget",
            "attention.sinks",
            "attention.min-context",
            "attention.recent",
            "attention.sketch.coarse",
            "hub.endpoint",
            "hub.token",
            "hub.cache",
            "hub.offline",
            "chat-model.temperature",
            "chat-model.top-k",
            "chat-model.top-p",
            "chat-model.min-p",
            "chat-model.repetition-penalty",
            "chat-model.frequency-penalty",
            "chat-model.presence-penalty",
            "chat-model.seed",
            "chat-model.max-output-tokens",
            "chat-model.stop-sequences",
            "chat-model.timeout");

    /** Not by one of the tables of {@link EngineConfigFactoryTest}, {@link AttentionMethodFactoryTest} and {@link ModelFactoryTest}. */
    private static final Set<String> TESTED_APART =
            Set.of("enabled", "shutdown-timeout", "chat-model.timeout", "token-cache.memory");

    private final Metadata metadata = Metadata.read();

    @Test
    void everyPropertyHasTypeAndDescription() {
        assertThat(metadata.properties()).isNotEmpty().allSatisfy((name, property) -> {
            assertThat(property.path("type").asText()).isNotEmpty();
            assertThat(property.path("description").asText()).endsWith(".");
        });
    }

    @Test
    void everyPropertyIsTested() {
        Stream<Object> engine = EngineConfigFactoryTest.settings().stream().map(setting -> setting.get()[0]);
        Stream<Object> chatModel =
                ModelFactoryTest.settings().stream().map(setting -> "chat-model." + setting.get()[0]);
        Set<Object> tested = Stream.concat(engine, chatModel).collect(Collectors.toSet());
        tested.addAll(AttentionMethodFactoryTest.tested());
        tested.addAll(TESTED_APART);

        assertThat(metadata.properties().keySet().stream().map(ConfigurationMetadataTest::shortName))
                .containsExactlyInAnyOrderElementsOf(
                        tested.stream().map(Object::toString).toList());
    }

    @Test
    void everyPropertyWithADefaultStatesIt() {
        Set<String> without = metadata.properties().entrySet().stream()
                .filter(property -> !property.getValue().has("defaultValue"))
                .map(property -> shortName(property.getKey()))
                .collect(Collectors.toSet());

        assertThat(without).isEqualTo(WITHOUT_DEFAULT);
    }

    private static String shortName(String property) {
        return property.substring(SkimProperties.PREFIX.length() + 1);
    }

    @Test
    void statedDefaultsAreTheRealOnes() {
        Map<String, String> stated = metadata.properties().entrySet().stream()
                .filter(property -> property.getValue().has("defaultValue"))
                .collect(Collectors.toMap(
                        property -> shortName(property.getKey()),
                        property -> property.getValue().path("defaultValue").asText()));
        SkimProperties bound = TestProperties.bind(stated);

        assertThat(bound).usingRecursiveComparison().isEqualTo(new SkimProperties());
    }

    @Test
    void hintsNameEveryAttentionMethod() {
        assertThat(metadata.hints("langchain4j.skim.attention.method"))
                .hasSize((int) records(AttentionMethod.class).count())
                .allSatisfy(name -> assertThat(parse(name).name()).isEqualTo(name));
    }

    private static Stream<Class<?>> records(Class<?> type) {
        return type.isRecord()
                ? Stream.of(type)
                : Stream.of(type.getPermittedSubclasses()).flatMap(ConfigurationMetadataTest::records);
    }

    private static AttentionMethod parse(String name) {
        return AttentionMethod.parse(name.equals("dense") ? name : name + ":budget=1024");
    }

    @Test
    void hintsNameEveryBaseOfAnAttentionMethod() {
        long selectors = records(PageSelector.class).count();

        assertThat(metadata.hints("langchain4j.skim.attention.twilight.base"))
                .hasSize((int) selectors + 1)
                .allSatisfy(base -> AttentionMethod.parse("twilight:base=" + base));
        assertThat(metadata.hints("langchain4j.skim.attention.vattention.base"))
                .hasSize((int) selectors)
                .allSatisfy(base -> AttentionMethod.parse("vattention:base=" + base));
    }

    @Test
    void hintsNameEveryValueOfEnumerations() {
        assertThat(metadata.hints("langchain4j.skim.weights")).containsExactlyElementsOf(names(WeightFormat.values()));
        assertThat(metadata.hints("langchain4j.skim.kv-cache.type"))
                .containsExactlyInAnyOrderElementsOf(names(KvType.values()));
        assertThat(metadata.hints("langchain4j.skim.attention.quest.score"))
                .containsExactlyElementsOf(names(Quest.Score.values()));
        assertThat(metadata.hints("langchain4j.skim.attention.quest.statistics"))
                .containsExactlyElementsOf(names(Quest.Statistics.values()));
        assertThat(metadata.hints("langchain4j.skim.attention.twilight.logits"))
                .containsExactlyElementsOf(names(Twilight.Logits.values()));
        assertThat(metadata.hints("langchain4j.skim.attention.vattention.verify"))
                .containsExactlyElementsOf(names(VAttention.Verify.values()));
    }

    private static Iterable<String> names(Enum<?>[] values) {
        return Stream.of(values)
                .map(value -> value.name().toLowerCase().replace("as_stored", "as-stored"))
                .toList();
    }

    @Test
    void hintsBelongToProperties() {
        Map<String, JsonNode> properties = metadata.properties();

        assertThat(metadata.hinted()).isNotEmpty().allMatch(properties::containsKey);
    }
}
