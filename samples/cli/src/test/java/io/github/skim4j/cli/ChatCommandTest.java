package io.github.skim4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.skim4j.engine.ContextLengthExceededException;
import io.github.skim4j.engine.GenerationRequest;
import io.github.skim4j.engine.chat.ChatMessage;
import java.util.List;
import org.junit.jupiter.api.Test;

class ChatCommandTest {

    private final ScriptedEngine engine = new ScriptedEngine(message -> {
        if (message.contains("long")) {
            throw new ContextLengthExceededException("The prompt is too long");
        }
        return message.toUpperCase(java.util.Locale.ROOT) + "!";
    });

    private List<ChatMessage> messages(int request) {
        return ((GenerationRequest.Chat) engine.requests.get(request).prompt()).messages();
    }

    @Test
    void keepsTheConversationUntilReset() {
        CommandRun run = CommandRun.typing(
                engine, "eins\n\n zwei \n/reset\ndrei\n", "chat", "--model", "m", "--system", "Be brief.");
        assertThat(run.exit()).as(run.err()).isZero();
        assertThat(run.out().lines()).containsExactly("EINS!", "ZWEI!", "DREI!");
        assertThat(run.err()).isEmpty();
        assertThat(messages(1))
                .containsExactly(
                        ChatMessage.system("Be brief."),
                        ChatMessage.user("eins"),
                        ChatMessage.assistant("EINS!"),
                        ChatMessage.user("zwei"));
        assertThat(messages(2)).containsExactly(ChatMessage.system("Be brief."), ChatMessage.user("drei"));
        assertThat(engine.closed).isTrue();
    }

    @Test
    void exitEndsIt() {
        CommandRun run = CommandRun.typing(engine, "eins\n/exit\nzwei\n", "chat", "--model", "m");
        assertThat(run.exit()).isZero();
        assertThat(run.out().lines()).containsExactly("EINS!");
    }

    @Test
    void aTurnThatDoesNotFitIsForgotten() {
        CommandRun run = CommandRun.typing(engine, "eins\nlong\nzwei\n", "chat", "--model", "m");
        assertThat(run.exit()).isZero();
        assertThat(run.err()).contains("skim: The prompt is too long (/reset forgets the conversation)");
        assertThat(messages(2))
                .containsExactly(ChatMessage.user("eins"), ChatMessage.assistant("EINS!"), ChatMessage.user("zwei"));
    }
}
