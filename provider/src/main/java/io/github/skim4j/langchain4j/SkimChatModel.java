package io.github.skim4j.langchain4j;

import static java.util.concurrent.TimeUnit.NANOSECONDS;

import dev.langchain4j.exception.LangChain4jException;
import dev.langchain4j.exception.TimeoutException;
import dev.langchain4j.model.chat.ChatModel;
import dev.langchain4j.model.chat.request.ChatRequest;
import dev.langchain4j.model.chat.response.ChatResponse;
import dev.langchain4j.spi.ServiceHelper;
import io.github.skim4j.engine.Generation;
import io.github.skim4j.engine.GenerationListener;
import io.github.skim4j.engine.GenerationResult;
import io.github.skim4j.langchain4j.spi.SkimChatModelBuilderFactory;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;

/** A model that runs in this process and returns its answer as a whole; safe for use by several threads. */
public class SkimChatModel extends SkimModel implements ChatModel {

    private static final GenerationListener NO_LISTENER = new GenerationListener() {};

    protected SkimChatModel(Builder builder) {
        super(builder);
    }

    public static Builder builder() {
        SkimChatModelBuilderFactory factory = ServiceHelper.loadFactory(SkimChatModelBuilderFactory.class);
        return factory == null ? new Builder() : factory.get();
    }

    /** An interrupt stops the decode, leaves the thread's interrupt flag set and throws {@link LangChain4jException}. */
    @Override
    public ChatResponse doChat(ChatRequest request) {
        Generation generation;
        try {
            generation = engine.generate(request, NO_LISTENER);
        } catch (RuntimeException | Error e) {
            throw ExceptionMapping.map(e);
        }
        return engine.response(await(generation));
    }

    private GenerationResult await(Generation generation) {
        CompletableFuture<GenerationResult> result = generation.result();
        Duration timeout = engine.timeout();
        try {
            return timeout == null ? result.get() : result.get(timeout.toNanos(), NANOSECONDS);
        } catch (ExecutionException e) {
            throw ExceptionMapping.map(e.getCause());
        } catch (java.util.concurrent.TimeoutException e) {
            generation.cancel();
            throw new TimeoutException("no complete answer within the timeout of " + timeout, e);
        } catch (InterruptedException e) {
            generation.cancel();
            Thread.currentThread().interrupt();
            throw new LangChain4jException("interrupted while waiting for the answer", e);
        }
    }

    /** Collects settings. */
    public static class Builder extends SkimModelBuilder<Builder, SkimChatModel> {

        public Builder() {}

        @Override
        Builder self() {
            return this;
        }

        @Override
        public SkimChatModel build() {
            return new SkimChatModel(this);
        }
    }
}
