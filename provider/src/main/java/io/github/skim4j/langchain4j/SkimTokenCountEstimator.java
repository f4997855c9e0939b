package io.github.skim4j.langchain4j;

import dev.langchain4j.data.message.ChatMessage;
import dev.langchain4j.model.TokenCountEstimator;
import io.github.skim4j.engine.Engine;
import java.util.List;
import java.util.Objects;
import java.util.stream.StreamSupport;

/** Counts tokens with the model's own tokenizer and chat template. */
public class SkimTokenCountEstimator implements TokenCountEstimator {

    private final Engine engine;

    /** @param engine stays the caller's to close */
    public SkimTokenCountEstimator(Engine engine) {
        this.engine = Objects.requireNonNull(engine, "engine");
    }

    /** Tokens of the bare text. */
    @Override
    public int estimateTokenCountInText(String text) {
        return engine.tokenizer().encode(text).length;
    }

    @Override
    public int estimateTokenCountInMessage(ChatMessage message) {
        return count(List.of(ChatMessages.toEngine(message)));
    }

    @Override
    public int estimateTokenCountInMessages(Iterable<ChatMessage> messages) {
        return count(StreamSupport.stream(messages.spliterator(), false)
                .map(ChatMessages::toEngine)
                .toList());
    }

    private int count(List<io.github.skim4j.engine.chat.ChatMessage> messages) {
        if (messages.isEmpty()) {
            return 0;
        }
        try {
            return engine.countTokens(messages);
        } catch (IllegalArgumentException e) {
            // Some templates refuse part of a conversation, such as an answer without its question; a chat memory asks
            // for those.
            return messages.stream()
                    .mapToInt(message -> estimateTokenCountInText(message.content()))
                    .sum();
        }
    }
}
