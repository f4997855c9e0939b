package io.github.skim4j.langchain4j;

import io.github.skim4j.engine.chat.ChatMessage;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** What LangChain4j's suites ask, answered from the messages that reached the engine. */
final class SuiteAnswers {

    private static final Pattern FAVOURITE = Pattern.compile("my favorite color is (\\w+)");

    private SuiteAnswers() {}

    static ScriptedEngine engine() {
        return ScriptedEngine.of(SuiteAnswers::answer);
    }

    private static Stream<String> answer(List<ChatMessage> messages) {
        String question = messages.get(messages.size() - 1).content();
        if (question.contains("long story")) {
            return ScriptedEngine.story();
        }
        return ScriptedEngine.words(text(messages, question));
    }

    private static String text(List<ChatMessage> messages, String question) {
        boolean german = messages.stream()
                .anyMatch(message ->
                        message.role().equals("system") && message.content().contains("into German"));
        if (german && question.contains("I love you")) {
            return "Ich liebe dich.";
        }
        if (question.equals("What is my favorite color?")) {
            return messages.stream()
                    .filter(message -> message.role().equals("user"))
                    .map(message -> FAVOURITE.matcher(message.content()))
                    .filter(Matcher::find)
                    .map(match -> "It is " + match.group(1) + ".")
                    .findFirst()
                    .orElse("You did not tell me.");
        }
        if (question.contains("capital of Germany")) {
            return "The capital of Germany is Berlin." + (question.contains("2 + 2") ? " 2 + 2 is 4." : "");
        }
        return question.equals("Say 'Hello World'") ? "Hello World" : "I have no answer to that.";
    }
}
