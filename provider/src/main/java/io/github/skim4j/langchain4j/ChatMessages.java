package io.github.skim4j.langchain4j;

import static java.util.stream.Collectors.joining;

import dev.langchain4j.data.message.AiMessage;
import dev.langchain4j.data.message.ChatMessage;
import dev.langchain4j.data.message.Content;
import dev.langchain4j.data.message.SystemMessage;
import dev.langchain4j.data.message.TextContent;
import dev.langchain4j.data.message.UserMessage;
import dev.langchain4j.exception.UnsupportedFeatureException;
import java.util.List;
import java.util.Locale;

/** LangChain4j's messages as the engine's. */
final class ChatMessages {

    private ChatMessages() {}

    static List<io.github.skim4j.engine.chat.ChatMessage> toEngine(List<ChatMessage> messages) {
        return messages.stream().map(ChatMessages::toEngine).toList();
    }

    static io.github.skim4j.engine.chat.ChatMessage toEngine(ChatMessage message) {
        if (message instanceof SystemMessage system) {
            return io.github.skim4j.engine.chat.ChatMessage.system(system.text());
        }
        if (message instanceof UserMessage user) {
            return io.github.skim4j.engine.chat.ChatMessage.user(
                    user.contents().stream().map(ChatMessages::text).collect(joining("\n")));
        }
        if (message instanceof AiMessage ai) {
            if (ai.hasToolExecutionRequests()) {
                throw notSupported("an AiMessage that calls tools");
            }
            return io.github.skim4j.engine.chat.ChatMessage.assistant(ai.text() == null ? "" : ai.text());
        }
        throw notSupported("a message of type " + message.type());
    }

    private static String text(Content content) {
        if (content instanceof TextContent text) {
            return text.text();
        }
        throw notSupported("a UserMessage with content of type "
                + content.type().name().toLowerCase(Locale.ROOT).replace('_', ' '));
    }

    private static UnsupportedFeatureException notSupported(String what) {
        return new UnsupportedFeatureException(
                what + " is not supported yet: Skim's models read the text of system, user and AI messages");
    }
}
