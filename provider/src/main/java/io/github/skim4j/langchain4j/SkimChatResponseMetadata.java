package io.github.skim4j.langchain4j;

import dev.langchain4j.model.chat.response.ChatResponseMetadata;
import java.time.Duration;
import java.util.Objects;

/** LangChain4j's response metadata with the speed of the answer and what attention read for it. */
public class SkimChatResponseMetadata extends ChatResponseMetadata {

    private final Duration timeToFirstToken;
    private final Double tokensPerSecond;
    private final Double attendedDensity;
    private final Long tokensEvicted;

    private SkimChatResponseMetadata(Builder builder) {
        super(builder);
        timeToFirstToken = builder.timeToFirstToken;
        tokensPerSecond = builder.tokensPerSecond;
        attendedDensity = builder.attendedDensity;
        tokensEvicted = builder.tokensEvicted;
    }

    public static Builder builder() {
        return new Builder();
    }

    /** From the request to the first token, waiting in the queue included; zero if there was no token. */
    public Duration timeToFirstToken() {
        return timeToFirstToken;
    }

    /** Tokens a second after the first one; 0 if there were fewer than two. */
    public Double tokensPerSecond() {
        return tokensPerSecond;
    }

    /** Share of the KV cache that attention read where its method could leave some out: 0 to 1, 1 for dense attention. */
    public Double attendedDensity() {
        return attendedDensity;
    }

    /** Tokens that the attention method dropped from the KV cache. */
    public Long tokensEvicted() {
        return tokensEvicted;
    }

    @Override
    public Builder toBuilder() {
        return ((Builder) super.toBuilder(builder()))
                .timeToFirstToken(timeToFirstToken)
                .tokensPerSecond(tokensPerSecond)
                .attendedDensity(attendedDensity)
                .tokensEvicted(tokensEvicted);
    }

    @Override
    public boolean equals(Object o) {
        if (!super.equals(o)) {
            return false;
        }
        SkimChatResponseMetadata that = (SkimChatResponseMetadata) o;
        return Objects.equals(timeToFirstToken, that.timeToFirstToken)
                && Objects.equals(tokensPerSecond, that.tokensPerSecond)
                && Objects.equals(attendedDensity, that.attendedDensity)
                && Objects.equals(tokensEvicted, that.tokensEvicted);
    }

    @Override
    public int hashCode() {
        return Objects.hash(super.hashCode(), timeToFirstToken, tokensPerSecond, attendedDensity, tokensEvicted);
    }

    @Override
    public String toString() {
        return "SkimChatResponseMetadata{"
                + "id='" + id() + '\''
                + ", modelName='" + modelName() + '\''
                + ", tokenUsage=" + tokenUsage()
                + ", finishReason=" + finishReason()
                + ", timeToFirstToken=" + timeToFirstToken
                + ", tokensPerSecond=" + tokensPerSecond
                + ", attendedDensity=" + attendedDensity
                + ", tokensEvicted=" + tokensEvicted
                + '}';
    }

    /** Collects metadata. */
    public static class Builder extends ChatResponseMetadata.Builder<Builder> {

        private Duration timeToFirstToken;
        private Double tokensPerSecond;
        private Double attendedDensity;
        private Long tokensEvicted;

        /** See {@link SkimChatResponseMetadata#timeToFirstToken()}. */
        public Builder timeToFirstToken(Duration timeToFirstToken) {
            this.timeToFirstToken = timeToFirstToken;
            return this;
        }

        /** See {@link SkimChatResponseMetadata#tokensPerSecond()}. */
        public Builder tokensPerSecond(Double tokensPerSecond) {
            this.tokensPerSecond = tokensPerSecond;
            return this;
        }

        /** See {@link SkimChatResponseMetadata#attendedDensity()}. */
        public Builder attendedDensity(Double attendedDensity) {
            this.attendedDensity = attendedDensity;
            return this;
        }

        /** See {@link SkimChatResponseMetadata#tokensEvicted()}. */
        public Builder tokensEvicted(Long tokensEvicted) {
            this.tokensEvicted = tokensEvicted;
            return this;
        }

        @Override
        public SkimChatResponseMetadata build() {
            return new SkimChatResponseMetadata(this);
        }
    }
}
