package example;

import dev.langchain4j.model.chat.response.ChatResponse;
import dev.langchain4j.service.AiServices;
import dev.langchain4j.service.TokenStream;
import io.github.skim4j.engine.Engine;
import io.github.skim4j.engine.EngineConfig;
import io.github.skim4j.langchain4j.SkimChatModel;
import io.github.skim4j.langchain4j.SkimChatResponseMetadata;
import io.github.skim4j.langchain4j.SkimStreamingChatModel;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;

public class AskInProcess {

    interface Assistant {
        String answer(String question);
    }

    interface StreamingAssistant {
        TokenStream answer(String question);
    }

    /** Takes a model (a path, classpath:… or a Hugging Face id) and a question. */
    public static void main(String[] args) {
        // Both models share one engine, so that the weights are loaded once.
        try (Engine engine = Engine.open(EngineConfig.builder(args[0]).build())) {
            SkimChatModel model = SkimChatModel.builder()
                    .engine(engine)
                    .temperature(0.0)
                    .maxOutputTokens(100)
                    .timeout(Duration.ofMinutes(2))
                    .build();
            Assistant assistant = AiServices.create(Assistant.class, model);
            System.out.println(assistant.answer(args[1]));

            SkimStreamingChatModel streamingModel = SkimStreamingChatModel.builder()
                    .engine(engine)
                    .temperature(0.0)
                    .maxOutputTokens(100)
                    .build();
            StreamingAssistant streamingAssistant = AiServices.create(StreamingAssistant.class, streamingModel);
            CompletableFuture<ChatResponse> end = new CompletableFuture<>();
            streamingAssistant
                    .answer(args[1])
                    .onPartialResponse(System.out::print)
                    .onCompleteResponse(end::complete)
                    .onError(end::completeExceptionally)
                    .start();
            SkimChatResponseMetadata metadata =
                    (SkimChatResponseMetadata) end.join().metadata();
            System.out.printf("%n%.1f tokens a second%n", metadata.tokensPerSecond());
        }
    }
}
