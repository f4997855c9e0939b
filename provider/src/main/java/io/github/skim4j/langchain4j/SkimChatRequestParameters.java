package io.github.skim4j.langchain4j;

import static dev.langchain4j.internal.Utils.getOrDefault;

import dev.langchain4j.model.chat.request.ChatRequestParameters;
import dev.langchain4j.model.chat.request.DefaultChatRequestParameters;
import io.github.skim4j.engine.attention.AttentionMethod;
import java.util.Objects;

/** LangChain4j's request parameters and those that only this provider has; {@code null} is unset. */
public class SkimChatRequestParameters extends DefaultChatRequestParameters {

    public static final SkimChatRequestParameters EMPTY = builder().build();

    private final Long seed;
    private final Double minP;
    private final Double repetitionPenalty;
    private final AttentionMethod attention;

    private SkimChatRequestParameters(Builder builder) {
        super(builder);
        seed = builder.seed;
        minP = builder.minP;
        repetitionPenalty = builder.repetitionPenalty;
        attention = builder.attention;
    }

    public static Builder builder() {
        return new Builder();
    }

    /** {@code parameters} themselves if they are of this class, else a copy in which only this provider's own are unset. */
    static SkimChatRequestParameters from(ChatRequestParameters parameters) {
        return parameters instanceof SkimChatRequestParameters own
                ? own
                : builder().overrideWith(parameters).build();
    }

    /** The same seed with the same model, prompt and parameters gives the same text. */
    public Long seed() {
        return seed;
    }

    /** Tokens less probable than this share of the most probable one are never drawn: 0 (off) to below 1. */
    public Double minP() {
        return minP;
    }

    /** Weakens tokens that stand in the prompt or the answer; 1 is off, above 1 repeats less. */
    public Double repetitionPenalty() {
        return repetitionPenalty;
    }

    /** Which keys and values each decode step reads; the engine's method if unset. */
    public AttentionMethod attention() {
        return attention;
    }

    @Override
    public SkimChatRequestParameters overrideWith(ChatRequestParameters that) {
        return builder().overrideWith(this).overrideWith(that).build();
    }

    @Override
    public SkimChatRequestParameters defaultedBy(ChatRequestParameters that) {
        return builder().overrideWith(that).overrideWith(this).build();
    }

    @Override
    public boolean equals(Object o) {
        if (!super.equals(o)) {
            return false;
        }
        SkimChatRequestParameters that = (SkimChatRequestParameters) o;
        return Objects.equals(seed, that.seed)
                && Objects.equals(minP, that.minP)
                && Objects.equals(repetitionPenalty, that.repetitionPenalty)
                && Objects.equals(attention, that.attention);
    }

    @Override
    public int hashCode() {
        return Objects.hash(super.hashCode(), seed, minP, repetitionPenalty, attention);
    }

    @Override
    public String toString() {
        return "SkimChatRequestParameters{"
                + "modelName='" + modelName() + '\''
                + ", temperature=" + temperature()
                + ", topP=" + topP()
                + ", topK=" + topK()
                + ", frequencyPenalty=" + frequencyPenalty()
                + ", presencePenalty=" + presencePenalty()
                + ", maxOutputTokens=" + maxOutputTokens()
                + ", stopSequences=" + stopSequences()
                + ", toolSpecifications=" + toolSpecifications()
                + ", toolChoice=" + toolChoice()
                + ", responseFormat=" + responseFormat()
                + ", seed=" + seed
                + ", minP=" + minP
                + ", repetitionPenalty=" + repetitionPenalty
                + ", attention=" + (attention == null ? null : attention.spec())
                + '}';
    }

    /** Collects parameters. */
    public static class Builder extends DefaultChatRequestParameters.Builder<Builder> {

        private Long seed;
        private Double minP;
        private Double repetitionPenalty;
        private AttentionMethod attention;

        @Override
        public Builder overrideWith(ChatRequestParameters parameters) {
            super.overrideWith(parameters);
            if (parameters instanceof SkimChatRequestParameters own) {
                seed(getOrDefault(own.seed, seed));
                minP(getOrDefault(own.minP, minP));
                repetitionPenalty(getOrDefault(own.repetitionPenalty, repetitionPenalty));
                attention(getOrDefault(own.attention, attention));
            }
            return this;
        }

        /** See {@link SkimChatRequestParameters#seed()}. */
        public Builder seed(Long seed) {
            this.seed = seed;
            return this;
        }

        /** See {@link SkimChatRequestParameters#minP()}. */
        public Builder minP(Double minP) {
            this.minP = minP;
            return this;
        }

        /** See {@link SkimChatRequestParameters#repetitionPenalty()}. */
        public Builder repetitionPenalty(Double repetitionPenalty) {
            this.repetitionPenalty = repetitionPenalty;
            return this;
        }

        /** See {@link SkimChatRequestParameters#attention()}. */
        public Builder attention(AttentionMethod attention) {
            this.attention = attention;
            return this;
        }

        /**
         * Takes the method as {@link AttentionMethod#parse} reads it, such as {@code quest:budget=1024}; {@code null} unsets it.
         *
         * @throws IllegalArgumentException if there is no such method, or a setting is unknown or out of range
         */
        public Builder attention(String spec) {
            return attention(spec == null ? null : AttentionMethod.parse(spec));
        }

        @Override
        public SkimChatRequestParameters build() {
            return new SkimChatRequestParameters(this);
        }
    }
}
