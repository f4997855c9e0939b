package io.github.skim4j.engine.chat;

import com.hubspot.jinjava.interpret.InterpretException;
import com.hubspot.jinjava.interpret.RenderResult;
import com.hubspot.jinjava.interpret.TemplateError;
import io.github.skim4j.engine.model.ModelFile.SpecialTokens;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import jinjava.javax.el.ELException;

/**
 * A model's Jinja template, which makes one text of a chat's messages; safe for use by several threads. It sees what Hugging Face
 * transformers gives to templates and renders as they do there. Templates come with model files, so they reach nothing but the
 * data they are given, and are held to limits of size and time.
 */
public final class ChatTemplate {

    private static final int MAX_SOURCE = 1 << 20;

    private final TemplateEngine engine = new TemplateEngine();
    private final String name;
    private final String source;
    private final Map<String, Object> constants;

    private ChatTemplate(String source, String name, SpecialTokens tokens) {
        this.name = name;
        this.source = JinjaSource.withoutWhitespaceControl(source);
        this.constants = new HashMap<>();
        // Templates ask whether these functions are defined, so their names must be.
        constants.put("strftime_now", true);
        constants.put("raise_exception", true);
        constants.put("bos_token", text(tokens.bos()));
        constants.put("eos_token", text(tokens.eos()));
        constants.put("unk_token", text(tokens.unk()));
        constants.put("pad_token", text(tokens.pad()));
    }

    private static String text(String token) {
        return token == null ? "" : token;
    }

    /**
     * @param source the Jinja text, or {@code null} if the model has none
     * @param name the model, for messages
     * @throws ChatTemplateException if there is no template or it can't be parsed
     */
    public static ChatTemplate of(String source, String name, SpecialTokens tokens) {
        if (source == null || source.isBlank()) {
            throw new ChatTemplateException(
                    name + " has no chat template, so messages can't be made into a prompt: set the"
                            + " property chat-template to a Jinja template or a file that holds one, or generate from a text that"
                            + " you format yourself");
        }
        if (source.length() > MAX_SOURCE) {
            throw new ChatTemplateException(
                    "the chat template of " + name + " is longer than " + MAX_SOURCE + " characters");
        }
        ChatTemplate template = new ChatTemplate(source, name, tokens);
        template.requireNone(template.guarded(() -> template.engine.parse(template.source)));
        return template;
    }

    /**
     * The prompt for {@code messages}.
     *
     * @param tools definitions as JSON schema functions; empty for none
     * @param arguments further variables of the template, such as {@code enable_thinking}
     * @param addGenerationPrompt whether the text ends with the cue for the assistant's answer
     * @throws IllegalArgumentException if the template refuses the messages
     * @throws ChatTemplateException if the template is at fault
     */
    public String render(
            List<ChatMessage> messages,
            List<Map<String, Object>> tools,
            Map<String, Object> arguments,
            boolean addGenerationPrompt) {
        Map<String, Object> variables = new HashMap<>(constants);
        variables.putAll(arguments);
        variables.put(
                "messages",
                new ArrayList<>(messages.stream().map(ChatMessage::toMap).toList()));
        variables.put("tools", tools.isEmpty() ? null : tools);
        variables.put("add_generation_prompt", addGenerationPrompt);
        RenderResult result = guarded(() -> engine.render(source, variables));
        requireNone(result.getErrors());
        return result.getOutput();
    }

    private <T> T guarded(Supplier<T> work) {
        try {
            return work.get();
        } catch (StackOverflowError e) {
            throw new ChatTemplateException("the chat template of " + name + " is nested too deeply", e);
        }
    }

    private void requireNone(List<TemplateError> errors) {
        if (!errors.isEmpty()) {
            throw failure(errors.get(0));
        }
    }

    private RuntimeException failure(TemplateError error) {
        Throwable root = error.getException();
        while (root != null && root.getCause() != null) {
            root = root.getCause();
        }
        if (root instanceof TemplateEngine.Refusal) {
            return new IllegalArgumentException(
                    "the chat template of " + name + " refuses these messages: " + root.getMessage());
        }
        boolean plain = root instanceof InterpretException || root instanceof ELException;
        return new ChatTemplateException(
                "the chat template of " + name + " fails"
                        + (error.getLineno() > 0 ? " in line " + error.getLineno() : "") + ": "
                        + (plain ? root.getMessage() : error.getMessage())
                        + "; the property chat-template can name another one",
                error.getException());
    }
}
