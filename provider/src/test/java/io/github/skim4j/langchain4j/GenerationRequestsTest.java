package io.github.skim4j.langchain4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.langchain4j.agent.tool.ToolSpecification;
import dev.langchain4j.data.message.UserMessage;
import dev.langchain4j.exception.InvalidRequestException;
import dev.langchain4j.exception.ModelNotFoundException;
import dev.langchain4j.exception.UnsupportedFeatureException;
import dev.langchain4j.model.chat.request.ChatRequest;
import dev.langchain4j.model.chat.request.ChatRequestParameters;
import dev.langchain4j.model.chat.request.ResponseFormat;
import dev.langchain4j.model.chat.request.ResponseFormatType;
import dev.langchain4j.model.chat.request.ToolChoice;
import dev.langchain4j.model.chat.request.json.JsonObjectSchema;
import dev.langchain4j.model.chat.request.json.JsonSchema;
import dev.langchain4j.service.AiServices;
import dev.langchain4j.service.Result;
import io.github.skim4j.engine.GenerationRequest;
import io.github.skim4j.engine.SamplingParameters;
import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.chat.ChatMessage;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** What of a request reaches the engine. */
class GenerationRequestsTest {

    private static final SamplingParameters MODEL_DEFAULTS =
            new SamplingParameters(0.6, 20, 0.95, 0.01, 1.05, 0.1, 0.2, null);
    private static final AttentionMethod STREAMING = AttentionMethod.parse("streaming-llm:budget=1024");

    private final ScriptedEngine engine = ScriptedEngine.answering("Yes.").withDefaultSampling(MODEL_DEFAULTS);

    @AfterEach
    void close() {
        engine.close();
    }

    private SkimChatModel.Builder model() {
        return SkimChatModel.builder().engine(engine);
    }

    private static ChatRequest question(ChatRequestParameters parameters) {
        return ChatRequest.builder()
                .messages(UserMessage.from("Is it so?"))
                .parameters(parameters)
                .build();
    }

    private static SkimChatRequestParameters.Builder parameters() {
        return SkimChatRequestParameters.builder();
    }

    @Test
    void takesWhatIsNotSetFromTheModelsGenerationConfig() {
        model().build().chat(question(parameters().build()));

        assertThat(engine.lastRequest())
                .isEqualTo(GenerationRequest.chat(List.of(ChatMessage.user("Is it so?")))
                        .sampling(MODEL_DEFAULTS)
                        .build());
    }

    @Test
    void passesEveryParameterOn() {
        model().build()
                .chat(question(parameters()
                        .modelName(ScriptedEngine.MODEL)
                        .temperature(0.7)
                        .topK(40)
                        .topP(0.9)
                        .minP(0.05)
                        .repetitionPenalty(1.1)
                        .frequencyPenalty(0.3)
                        .presencePenalty(0.4)
                        .seed(42L)
                        .maxOutputTokens(12)
                        .stopSequences("\n", "User:")
                        .attention(STREAMING)
                        .build()));

        assertThat(engine.lastRequest())
                .isEqualTo(GenerationRequest.chat(List.of(ChatMessage.user("Is it so?")))
                        .sampling(new SamplingParameters(0.7, 40, 0.9, 0.05, 1.1, 0.3, 0.4, 42L))
                        .maxOutputTokens(12)
                        .stopSequences(List.of("\n", "User:"))
                        .attention(STREAMING)
                        .build());
    }

    @Test
    void passesEveryDefaultOfTheBuilderOn() {
        SkimChatModel model = model().temperature(0.7)
                .topK(40)
                .topP(0.9)
                .minP(0.05)
                .repetitionPenalty(1.1)
                .frequencyPenalty(0.3)
                .presencePenalty(0.4)
                .seed(42L)
                .maxOutputTokens(12)
                .stopSequences(List.of("\n", "User:"))
                .attention(STREAMING)
                .build();

        model.chat("Is it so?");

        assertThat(engine.lastRequest())
                .isEqualTo(GenerationRequest.chat(List.of(ChatMessage.user("Is it so?")))
                        .sampling(new SamplingParameters(0.7, 40, 0.9, 0.05, 1.1, 0.3, 0.4, 42L))
                        .maxOutputTokens(12)
                        .stopSequences(List.of("\n", "User:"))
                        .attention(STREAMING)
                        .build());
    }

    @Test
    void requestOverridesBuilderOverridesModel() {
        SkimChatModel model = model().temperature(0.3).topK(5).seed(1L).build();

        model.chat(question(parameters().temperature(0.9).seed(2L).build()));

        assertThat(engine.lastRequest().sampling())
                .isEqualTo(new SamplingParameters(0.9, 5, 0.95, 0.01, 1.05, 0.1, 0.2, 2L));
    }

    @Test
    void parametersOfAnotherClassKeepTheDefaultsOfOurOwn() {
        SkimChatModel model = model().seed(7L).attention(STREAMING).minP(0.1).build();

        model.chat(question(ChatRequestParameters.builder().temperature(0.0).build()));

        assertThat(engine.lastRequest().sampling().seed()).isEqualTo(7);
        assertThat(engine.lastRequest().sampling().minP()).isEqualTo(0.1);
        assertThat(engine.lastRequest().sampling().temperature()).isZero();
        assertThat(engine.lastRequest().attention()).isEqualTo(STREAMING);
    }

    @Test
    void theAttentionMethodCanBeGivenInWords() {
        SkimChatModel model = model().attention("quest:budget=1024").build();

        model.chat("Is it so?");
        assertThat(engine.lastRequest().attention()).isEqualTo(AttentionMethod.parse("quest:budget=1024"));

        model.chat(question(parameters().attention("twilight:base=quest,p=0.9").build()));
        assertThat(engine.lastRequest().attention()).isEqualTo(AttentionMethod.parse("twilight:base=quest,p=0.9"));
    }

    interface Assistant {
        Result<String> answer(@dev.langchain4j.service.UserMessage String question, ChatRequestParameters parameters);
    }

    @Test
    void aCallOfAnAiServiceChoosesItsMethod() {
        Assistant assistant = AiServices.create(
                Assistant.class, model().attention(STREAMING).topK(40).build());

        Result<String> result = assistant.answer(
                "Is it so?", parameters().attention("quest:budget=1024").build());

        assertThat(engine.lastRequest().attention()).isEqualTo(AttentionMethod.parse("quest:budget=1024"));
        assertThat(engine.lastRequest().sampling().topK()).isEqualTo(40);
        assertThat(result.finalResponse().metadata())
                .isInstanceOfSatisfying(
                        SkimChatResponseMetadata.class,
                        metadata -> assertThat(metadata.attention()).isEqualTo(ScriptedEngine.ATTENTION));
    }

    @Test
    void singleSettersOverrideDefaultRequestParametersInAnyOrder() {
        ChatRequestParameters defaults =
                parameters().temperature(0.1).topK(3).seed(5L).build();

        SkimChatModel before =
                model().temperature(0.8).defaultRequestParameters(defaults).build();
        SkimChatModel after =
                model().defaultRequestParameters(defaults).temperature(0.8).build();

        assertThat(before.defaultRequestParameters())
                .isEqualTo(after.defaultRequestParameters())
                .isEqualTo(parameters()
                        .modelName(ScriptedEngine.MODEL)
                        .temperature(0.8)
                        .topK(3)
                        .seed(5L)
                        .build());
    }

    @Test
    void doChatTakesParametersThatWereNotMerged() {
        model().build().doChat(question(ChatRequestParameters.builder().topK(9).build()));

        assertThat(engine.lastRequest().sampling().topK()).isEqualTo(9);
    }

    @Test
    void refusesAnotherModelsName() {
        ChatRequestParameters other = parameters().modelName("other-model").build();

        assertThatThrownBy(() -> model().build().chat(question(other)))
                .isExactlyInstanceOf(ModelNotFoundException.class)
                .hasMessageContainingAll("other-model", ScriptedEngine.MODEL);
        assertThatThrownBy(() -> model().defaultRequestParameters(other).build())
                .isExactlyInstanceOf(ModelNotFoundException.class);
    }

    static Stream<Arguments> outOfRange() {
        return Stream.of(
                Arguments.of(parameters().temperature(-1.0).build(), "temperature"),
                Arguments.of(parameters().topP(0.0).build(), "topP"),
                Arguments.of(parameters().topK(-1).build(), "topK"),
                Arguments.of(parameters().minP(1.0).build(), "minP"),
                Arguments.of(parameters().repetitionPenalty(0.0).build(), "repetitionPenalty"),
                Arguments.of(parameters().frequencyPenalty(Double.NaN).build(), "frequencyPenalty"),
                Arguments.of(parameters().presencePenalty(1000.0).build(), "presencePenalty"),
                Arguments.of(parameters().maxOutputTokens(0).build(), "maxOutputTokens"),
                Arguments.of(parameters().stopSequences("").build(), "stop sequence"));
    }

    @ParameterizedTest
    @MethodSource("outOfRange")
    void refusesValuesOutOfRange(SkimChatRequestParameters parameters, String named) {
        assertThatThrownBy(() -> model().build().chat(question(parameters)))
                .isExactlyInstanceOf(InvalidRequestException.class)
                .hasMessageContaining(named);
        assertThatThrownBy(() -> model().defaultRequestParameters(parameters).build())
                .isExactlyInstanceOf(InvalidRequestException.class)
                .hasMessageContaining(named);
    }

    static Stream<Arguments> unsupported() {
        ToolSpecification tool = ToolSpecification.builder().name("weather").build();
        ResponseFormat schema = ResponseFormat.builder()
                .type(ResponseFormatType.JSON)
                .jsonSchema(JsonSchema.builder()
                        .name("Answer")
                        .rootElement(JsonObjectSchema.builder()
                                .addStringProperty("city")
                                .build())
                        .build())
                .build();
        return Stream.of(
                Arguments.of(parameters().toolSpecifications(tool).build(), "tools"),
                Arguments.of(parameters().toolChoice(ToolChoice.REQUIRED).build(), "ToolChoice.REQUIRED"),
                Arguments.of(parameters().toolChoice(ToolChoice.NONE).build(), "ToolChoice.NONE"),
                Arguments.of(parameters().responseFormat(ResponseFormat.JSON).build(), "JSON response format"),
                Arguments.of(parameters().responseFormat(schema).build(), "JSON response format"));
    }

    @ParameterizedTest
    @MethodSource("unsupported")
    void refusesWhatIsNotSupportedYet(SkimChatRequestParameters parameters, String named) {
        assertThatThrownBy(() -> model().build().chat(question(parameters)))
                .isExactlyInstanceOf(UnsupportedFeatureException.class)
                .hasMessageContainingAll(named, "is not supported yet");
        assertThatThrownBy(() -> model().defaultRequestParameters(parameters).build())
                .isExactlyInstanceOf(UnsupportedFeatureException.class)
                .hasMessageContaining(named);
    }

    @Test
    void takesTheTextResponseFormatAndToolChoiceAuto() {
        model().build()
                .chat(question(parameters()
                        .responseFormat(ResponseFormat.TEXT)
                        .toolChoice(ToolChoice.AUTO)
                        .build()));

        assertThat(engine.lastRequest()).isNotNull();
    }
}
