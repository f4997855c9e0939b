package io.github.skim4j.langchain4j;

import dev.langchain4j.model.chat.response.ChatResponseMetadata;
import io.github.skim4j.engine.AttentionStats;
import java.time.Duration;
import java.util.Objects;
import java.util.function.Function;

/**
 * LangChain4j's response metadata with the speed of the answer, what the prefix cache spared it and what attention read
 * for it. What is not known is {@code null}; the
 * figures of attention are those of its sparse part, as {@link AttentionStats} counts them.
 */
public class SkimChatResponseMetadata extends ChatResponseMetadata {

    private final Integer cachedTokens;
    private final Duration timeToFirstToken;
    private final Double tokensPerSecond;
    private final AttentionStats attention;

    private SkimChatResponseMetadata(Builder builder) {
        super(builder);
        cachedTokens = builder.cachedTokens;
        timeToFirstToken = builder.timeToFirstToken;
        tokensPerSecond = builder.tokensPerSecond;
        attention = builder.attention;
    }

    public static Builder builder() {
        return new Builder();
    }

    /** How many of the prompt's tokens had their keys and values in the prefix cache, so that they were not computed again. */
    public Integer cachedTokens() {
        return cachedTokens;
    }

    /** From the request to the first token, waiting in the queue included; zero if there was no token. */
    public Duration timeToFirstToken() {
        return timeToFirstToken;
    }

    /** Tokens a second after the first one; 0 if there were fewer than two. */
    public Double tokensPerSecond() {
        return tokensPerSecond;
    }

    /** What the figures below are made of. */
    public AttentionStats attention() {
        return attention;
    }

    /** Share of the KV cache that attention read where its method could leave some out: 0 to 1, 1 for dense attention. */
    public Double attendedDensity() {
        return figure(AttentionStats::density);
    }

    /** Bytes that attention read, its selection included, relative to dense attention's; 1 for dense attention. */
    public Double attentionTraffic() {
        return figure(AttentionStats::traffic);
    }

    /** Key-value pairs that attention read, summed over steps, layers and KV heads. */
    public Long tokensRead() {
        return figure(AttentionStats::tokensAttended);
    }

    /** Pages of the KV cache of which attention read a token or more, summed likewise. */
    public Long pagesRead() {
        return figure(AttentionStats::pagesRead);
    }

    /** Tokens that the attention method dropped from the KV cache. */
    public Long tokensEvicted() {
        return figure(AttentionStats::tokensEvicted);
    }

    /** Mean share of the attention that fell on what was read: 0 to 1; {@code null} if the recall probe took no sample. */
    public Double keptMass() {
        return probe(AttentionStats.Probe::keptMass);
    }

    /** Mean relative error of the heads' outputs; {@code null} if the recall probe took no sample. */
    public Double outputError() {
        return probe(AttentionStats.Probe::outputError);
    }

    /** Share of attention's time that it took to find out what to read: 0 to 1; {@code null} for dense attention and on a GPU, which measures no time. */
    public Double selectionTimeShare() {
        return figure(stats -> stats.time().selectionShare());
    }

    private <T> T figure(Function<AttentionStats, T> of) {
        return attention == null ? null : of.apply(attention);
    }

    private Double probe(Function<AttentionStats.Probe, Double> of) {
        return figure(stats -> stats.probe().samples() == 0 ? null : of.apply(stats.probe()));
    }

    @Override
    public Builder toBuilder() {
        return ((Builder) super.toBuilder(builder()))
                .cachedTokens(cachedTokens)
                .timeToFirstToken(timeToFirstToken)
                .tokensPerSecond(tokensPerSecond)
                .attention(attention);
    }

    @Override
    public boolean equals(Object o) {
        if (!super.equals(o)) {
            return false;
        }
        SkimChatResponseMetadata that = (SkimChatResponseMetadata) o;
        return Objects.equals(cachedTokens, that.cachedTokens)
                && Objects.equals(timeToFirstToken, that.timeToFirstToken)
                && Objects.equals(tokensPerSecond, that.tokensPerSecond)
                && Objects.equals(attention, that.attention);
    }

    @Override
    public int hashCode() {
        return Objects.hash(super.hashCode(), cachedTokens, timeToFirstToken, tokensPerSecond, attention);
    }

    @Override
    public String toString() {
        return "SkimChatResponseMetadata{"
                + "id='" + id() + '\''
                + ", modelName='" + modelName() + '\''
                + ", tokenUsage=" + tokenUsage()
                + ", finishReason=" + finishReason()
                + ", cachedTokens=" + cachedTokens
                + ", timeToFirstToken=" + timeToFirstToken
                + ", tokensPerSecond=" + tokensPerSecond
                + ", attendedDensity=" + attendedDensity()
                + ", attentionTraffic=" + attentionTraffic()
                + ", tokensRead=" + tokensRead()
                + ", pagesRead=" + pagesRead()
                + ", tokensEvicted=" + tokensEvicted()
                + ", keptMass=" + keptMass()
                + ", outputError=" + outputError()
                + ", selectionTimeShare=" + selectionTimeShare()
                + '}';
    }

    /** Collects metadata. */
    public static class Builder extends ChatResponseMetadata.Builder<Builder> {

        private Integer cachedTokens;
        private Duration timeToFirstToken;
        private Double tokensPerSecond;
        private AttentionStats attention;

        /** See {@link SkimChatResponseMetadata#cachedTokens()}. */
        public Builder cachedTokens(Integer cachedTokens) {
            this.cachedTokens = cachedTokens;
            return this;
        }

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

        /** See {@link SkimChatResponseMetadata#attention()}. */
        public Builder attention(AttentionStats attention) {
            this.attention = attention;
            return this;
        }

        @Override
        public SkimChatResponseMetadata build() {
            return new SkimChatResponseMetadata(this);
        }
    }
}
