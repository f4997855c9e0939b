package io.github.skim4j.spring;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.attention.UnknownAttentionMethodException;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class AttentionMethodFactoryTest {

    private static final int PAGE_SIZE = 16;

    /** Properties below {@code attention}, and the method they stand for in words. */
    static List<Arguments> methods() {
        return List.of(
                arguments("method=dense", "dense"),
                arguments("method=quest budget=1024", "quest:budget=1024"),
                arguments(
                        "method=quest budget=12.5% quest.score=bounds sinks=8 recent=32 dense-layers=1 reuse-interval=2",
                        "quest:budget=12.5%,score=bounds,sinks=8,recent=32,dense-layers=1,reuse-interval=2"),
                arguments("method=quest budget=64 quest.statistics=fp8", "quest:budget=64,statistics=fp8"),
                arguments("method=sketch budget=3%", "sketch:budget=3%"),
                arguments("method=sketch budget=25%", "sketch:budget=25%"),
                arguments("method=sketch budget=3% sketch.coarse=0.25", "sketch:budget=3%,coarse=0.25"),
                arguments("method=double-sparsity budget=3%", "double-sparsity:budget=3%"),
                arguments(
                        "method=double-sparsity budget=3% double-sparsity.channels=32",
                        "double-sparsity:budget=3%,channels=32"),
                arguments("method=twilight", "twilight"),
                arguments(
                        "method=twilight budget=2048 twilight.base=quest twilight.p=0.9 twilight.logits=exact "
                                + "quest.score=bounds recent=16",
                        "twilight:base=quest,budget=2048,p=0.9,logits=exact,score=bounds,recent=16"),
                arguments("method=twilight sketch.coarse=0.125", "twilight:coarse=0.125"),
                arguments("method=twilight twilight.base=dense sinks=2", "twilight:base=dense,sinks=2"),
                arguments("method=vattention", "vattention"),
                arguments(
                        "method=vattention budget=10% vattention.base=double-sparsity vattention.epsilon=0.1 "
                                + "vattention.delta=0.2 vattention.verify=both vattention.pilot=0.025 vattention.seed=7 "
                                + "double-sparsity.channels=8 sinks=4",
                        "vattention:base=double-sparsity,budget=10%,epsilon=0.1,delta=0.2,verify=both,pilot=0.025,seed=7,"
                                + "channels=8,sinks=4"),
                arguments("method=streaming-llm budget=1024", "streaming-llm:budget=1024"),
                arguments(
                        "method=streaming-llm budget=12.5% streaming-llm.sinks=8",
                        "streaming-llm:budget=12.5%,sinks=8"),
                arguments("method=h2o budget=1024", "h2o:budget=1024"),
                arguments("method=h2o budget=1024 h2o.recent=0.25", "h2o:budget=1024,recent=0.25"),
                arguments("method=tova budget=1024", "tova:budget=1024"),
                arguments("method=snapkv budget=1024", "snapkv:budget=1024"),
                arguments(
                        "method=snapkv budget=32 snapkv.window=16 snapkv.kernel=5",
                        "snapkv:budget=32,window=16,kernel=5"),
                arguments("method=oracle budget=6.25% recent=16", "oracle:budget=6.25%,recent=16"),
                arguments("method=random budget=6.25%", "random:budget=6.25%"),
                arguments("method=random budget=6.25% random.seed=3", "random:budget=6.25%,seed=3"),
                arguments("method=twilight twilight.base=random random.seed=3", "twilight:base=random,seed=3"),
                arguments(
                        "method=vattention vattention.base=random vattention.seed=7 random.seed=3",
                        "vattention:base=random,seed=7"));
    }

    @ParameterizedTest
    @MethodSource("methods")
    void propertiesMakeTheMethod(String properties, String expected) {
        assertThat(create(properties)).isEqualTo(AttentionMethod.parse(expected));
    }

    /** Names of the properties that some method is tested with. */
    static Set<String> tested() {
        return methods().stream()
                .flatMap(method -> properties((String) method.get()[0]).keySet().stream())
                .collect(Collectors.toSet());
    }

    @Test
    void whatTheMethodDoesNotReadIsLeftAlone() {
        assertThat(create("method=quest budget=1024 twilight.p=7 vattention.base=none streaming-llm.sinks=-1"))
                .isEqualTo(AttentionMethod.parse("quest:budget=1024"));
        assertThat(create("method=dense budget=1024 sinks=-1")).isEqualTo(AttentionMethod.parse("dense"));
        assertThat(create("method=twilight twilight.base=dense budget=5"))
                .isEqualTo(AttentionMethod.parse("twilight:base=dense"));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "method=telepathy | method | there are: dense, quest, sketch, double-sparsity, twilight, vattention",
                "method=quest:budget=1024 | method | there are: dense, quest",
                "method=quest | method | set langchain4j.skim.attention.budget to a number of tokens",
                "method=h2o | method | set langchain4j.skim.attention.budget to a number of tokens",
                "method=quest budget=none | budget | such as 12.5%",
                "budget=101% | budget | such as 12.5%",
                "method=quest budget=35 | budget | at least 36 tokens (4 sinks, 16 recent ones and a page of 16)",
                "method=twilight budget=35 | budget | at least 36 tokens",
                "method=vattention budget=271 | budget | at least 272 tokens",
                "method=quest budget=64 sinks=-1 | sinks | 0 or more",
                "method=sketch budget=5% recent=-1 | recent | 0 or more",
                "method=oracle budget=5% dense-layers=-1 | dense-layers | 0 or more",
                "method=sketch budget=5% reuse-interval=0 | reuse-interval | 1 or more",
                "method=twilight twilight.base=dense reuse-interval=2 | reuse-interval | ranks no pages",
                "method=sketch budget=5% sketch.coarse=-0.5 | sketch.coarse | between 0 and 1",
                "method=twilight sketch.coarse=-0.5 | sketch.coarse | between 0 and 1",
                "method=double-sparsity budget=5% double-sparsity.channels=12 | double-sparsity.channels | multiple of 8",
                "method=twilight twilight.base=tova | twilight.base | double-sparsity, oracle, quest, random, sketch or dense",
                "method=twilight twilight.base=quest,p=0.5 | twilight.p | twice",
                "method=twilight twilight.p=0 | twilight.p | above 0 and at most 1",
                "method=twilight twilight.p=1.5 | twilight.p | above 0 and at most 1",
                "method=twilight twilight.p=NaN | twilight.p | above 0 and at most 1",
                "method=vattention vattention.base=dense | vattention.base | must be one of",
                "method=vattention vattention.epsilon=0 | vattention.epsilon | above 0 and below 1",
                "method=vattention vattention.delta=1 | vattention.delta | above 0 and below 1",
                "method=vattention vattention.pilot=0 | vattention.pilot | above 0 and at most 1",
                "method=streaming-llm budget=64 streaming-llm.sinks=-1 | streaming-llm.sinks | 0 or more",
                "method=streaming-llm budget=64 streaming-llm.sinks=64 | budget | above its 64 sinks",
                "method=h2o budget=64 h2o.recent=1.5 | h2o.recent | between 0 and 1",
                "method=snapkv budget=64 | budget | above its window of 64",
                "method=snapkv budget=64 snapkv.window=0 | snapkv.window | 1 or more",
                "method=snapkv budget=64 snapkv.kernel=4 | snapkv.kernel | odd number"
            })
    void invalidValueNamesItsProperty(String properties, String property, String reason) {
        InvalidSkimPropertyException e =
                catchThrowableOfType(InvalidSkimPropertyException.class, () -> create(properties));

        assertThat(e).hasMessageContaining(reason);
        assertThat(e.property()).isEqualTo("langchain4j.skim.attention." + property);
    }

    @Test
    void unknownMethodIsTheCause() {
        assertThatThrownBy(() -> create("method=telepathy")).hasCauseInstanceOf(UnknownAttentionMethodException.class);
    }

    private static AttentionMethod create(String properties) {
        return new AttentionMethodFactory(
                        TestProperties.bind(properties(properties)).getAttention(), PAGE_SIZE)
                .create();
    }

    /** {@code name=value} pairs, by names from {@code attention} on. */
    private static Map<String, String> properties(String pairs) {
        Map<String, String> properties = new HashMap<>();
        Arrays.stream(pairs.split(" ")).forEach(pair -> {
            String[] parts = pair.split("=", 2);
            properties.put("attention." + parts[0], parts[1]);
        });
        return properties;
    }
}
