package io.github.skim4j.langchain4j;

import dev.langchain4j.exception.InternalServerException;
import dev.langchain4j.exception.InvalidRequestException;
import dev.langchain4j.exception.LangChain4jException;
import dev.langchain4j.exception.ModelNotFoundException;
import dev.langchain4j.exception.RateLimitException;
import io.github.skim4j.engine.ContextLengthExceededException;
import io.github.skim4j.engine.QueueFullException;
import io.github.skim4j.engine.SkimException;
import io.github.skim4j.engine.kv.KvCacheFullException;

/** The engine's failures as LangChain4j's. */
final class ExceptionMapping {

    private ExceptionMapping() {}

    /**
     * Errors become exceptions as well: {@code ChatModel.chat} tells its listeners of exceptions alone, and a native library that
     * does not load is an {@link UnsatisfiedLinkError}.
     */
    static LangChain4jException map(Throwable failure) {
        if (failure instanceof LangChain4jException known) {
            return known;
        }
        if (failure instanceof io.github.skim4j.engine.model.ModelNotFoundException) {
            return new ModelNotFoundException(failure);
        }
        if (failure instanceof ContextLengthExceededException
                || failure instanceof KvCacheFullException
                || failure instanceof IllegalArgumentException) {
            return new InvalidRequestException(failure);
        }
        if (failure instanceof QueueFullException) {
            return new RateLimitException(failure);
        }
        if (failure instanceof SkimException) {
            return new InternalServerException(failure);
        }
        return new InternalServerException("the engine failed: " + failure, failure);
    }
}
