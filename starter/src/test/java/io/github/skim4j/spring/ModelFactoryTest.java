package io.github.skim4j.spring;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import dev.langchain4j.exception.TimeoutException;
import io.github.skim4j.langchain4j.SkimChatRequestParameters;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class ModelFactoryTest {

    static List<Arguments> settings() {
        return List.of(
                setting("temperature", "0.5", SkimChatRequestParameters::temperature, 0.5),
                setting("top-k", "7", SkimChatRequestParameters::topK, 7),
                setting("top-p", "0.9", SkimChatRequestParameters::topP, 0.9),
                setting("min-p", "0.05", SkimChatRequestParameters::minP, 0.05),
                setting("repetition-penalty", "1.1", SkimChatRequestParameters::repetitionPenalty, 1.1),
                setting("frequency-penalty", "0.2", SkimChatRequestParameters::frequencyPenalty, 0.2),
                setting("presence-penalty", "-0.3", SkimChatRequestParameters::presencePenalty, -0.3),
                setting("seed", "42", SkimChatRequestParameters::seed, 42L),
                setting("max-output-tokens", "99", SkimChatRequestParameters::maxOutputTokens, 99),
                setting(
                        "stop-sequences",
                        "END,STOP",
                        SkimChatRequestParameters::stopSequences,
                        List.of("END", "STOP")));
    }

    private static Arguments setting(
            String property, String value, Function<SkimChatRequestParameters, ?> read, Object expected) {
        return arguments(property, value, read, expected);
    }

    @ParameterizedTest(name = "{0} = {1}")
    @MethodSource("settings")
    void propertyIsADefaultOfBothModels(
            String property, String value, Function<SkimChatRequestParameters, ?> read, Object expected) {
        ModelFactory factory = factory(Map.of("chat-model." + property, value), ScriptedEngine.immediate());

        assertThat(read.apply(factory.chatModel().defaultRequestParameters())).isEqualTo(expected);
        assertThat(read.apply(factory.streamingChatModel().defaultRequestParameters()))
                .isEqualTo(expected);
    }

    @Test
    void timeoutLimitsARequest() {
        ScriptedEngine engine = ScriptedEngine.holding();

        assertThatThrownBy(() -> factory(Map.of("chat-model.timeout", "10ms"), engine)
                        .chatModel()
                        .chat("hello"))
                .isInstanceOf(TimeoutException.class);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "temperature | -1",
                "top-k | -1",
                "top-p | 0",
                "min-p | 1",
                "repetition-penalty | 0",
                "frequency-penalty | 101",
                "presence-penalty | -101",
                "max-output-tokens | 0",
                "timeout | 0s"
            })
    void invalidValueNamesItsProperty(String property, String value) {
        ModelFactory factory =
                factory(Map.of("chat-model.seed", "1", "chat-model." + property, value), ScriptedEngine.immediate());

        InvalidSkimPropertyException e = catchThrowableOfType(InvalidSkimPropertyException.class, factory::chatModel);

        assertThat(e.property()).isEqualTo("langchain4j.skim.chat-model." + property);
    }

    private static ModelFactory factory(Map<String, String> properties, ScriptedEngine engine) {
        return new ModelFactory(TestProperties.bind(properties).getChatModel(), engine, List.of());
    }
}
