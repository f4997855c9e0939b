package io.github.skim4j.engine;

import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.chat.ChatMessage;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * What to generate; see {@link Builder} for the meaning and default of each setting.
 */
public record GenerationRequest(
        Prompt prompt,
        int maxOutputTokens,
        SamplingParameters sampling,
        List<String> stopSequences,
        AttentionMethod attention,
        Integer denseTokens) {

    /** What the model is given. */
    public sealed interface Prompt {}

    /**
     * Messages that the chat template renders.
     *
     * @param tools tool definitions as the template expects them (JSON schema functions)
     * @param templateArguments further variables of the template, such as {@code enable_thinking}
     */
    public record Chat(
            List<ChatMessage> messages, List<Map<String, Object>> tools, Map<String, Object> templateArguments)
            implements Prompt {

        public Chat {
            messages = List.copyOf(messages);
            tools = List.copyOf(tools);
            templateArguments = Map.copyOf(templateArguments);
            if (messages.isEmpty()) {
                throw new IllegalArgumentException("a chat needs at least one message");
            }
        }
    }

    /** Text that is continued as it is, after the model's begin-of-text token if it wants one. */
    public record Text(String text) implements Prompt {

        public Text {
            Objects.requireNonNull(text, "text");
        }
    }

    /** Token ids that are continued as they are. */
    public record Tokens(List<Integer> ids) implements Prompt {

        public Tokens {
            ids = List.copyOf(ids);
        }
    }

    public GenerationRequest {
        Objects.requireNonNull(prompt, "prompt");
        Objects.requireNonNull(sampling, "sampling");
        stopSequences = List.copyOf(stopSequences);
        if (stopSequences.stream().anyMatch(String::isEmpty)) {
            throw new IllegalArgumentException("a stop sequence must not be empty");
        }
        if (maxOutputTokens < 0) {
            throw new IllegalArgumentException(
                    "maxOutputTokens must be 0 (as the context allows) or more, but is " + maxOutputTokens);
        }
        if (denseTokens != null && denseTokens < 0) {
            throw new IllegalArgumentException("denseTokens must be 0 or more, but is " + denseTokens);
        }
    }

    public static Builder chat(List<ChatMessage> messages) {
        return new Builder(new Chat(messages, List.of(), Map.of()));
    }

    public static Builder text(String text) {
        return new Builder(new Text(text));
    }

    public static Builder of(Prompt prompt) {
        return new Builder(prompt);
    }

    /** Collects settings. */
    public static final class Builder {

        private final Prompt prompt;
        private int maxOutputTokens;
        private SamplingParameters sampling = SamplingParameters.GREEDY;
        private List<String> stopSequences = List.of();
        private AttentionMethod attention;
        private Integer denseTokens;

        private Builder(Prompt prompt) {
            this.prompt = prompt;
        }

        /** Most tokens to generate; 0 (default) goes on to the end of the context. */
        public Builder maxOutputTokens(int maxOutputTokens) {
            this.maxOutputTokens = maxOutputTokens;
            return this;
        }

        /** Greedy by default. */
        public Builder sampling(SamplingParameters sampling) {
            this.sampling = sampling;
            return this;
        }

        /** Texts that end the answer and are left out of it. */
        public Builder stopSequences(List<String> stopSequences) {
            this.stopSequences = stopSequences;
            return this;
        }

        /** Attention method for this request; {@code null} (default) takes the engine's. */
        public Builder attention(AttentionMethod attention) {
            this.attention = attention;
            return this;
        }

        /**
         * Prompt tokens that are attended densely; the rest of the prompt and the answer use the attention method. {@code null}
         * (default) takes the whole prompt. With the number of tokens before the question, this is the question-sparse protocol of
         * evaluations.
         */
        public Builder denseTokens(Integer denseTokens) {
            this.denseTokens = denseTokens;
            return this;
        }

        public GenerationRequest build() {
            return new GenerationRequest(prompt, maxOutputTokens, sampling, stopSequences, attention, denseTokens);
        }
    }
}
