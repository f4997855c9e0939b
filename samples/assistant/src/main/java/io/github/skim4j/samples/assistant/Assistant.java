package io.github.skim4j.samples.assistant;

import dev.langchain4j.service.TokenStream;
import dev.langchain4j.service.UserMessage;
import dev.langchain4j.service.V;
import dev.langchain4j.service.spring.AiService;

/** The AI service: LangChain4j adds the retrieved text to the question and streams the model's answer. */
@AiService
public interface Assistant {

    /** A bare parameter would be a template itself, and fail where a question has double braces. */
    @UserMessage("{{question}}")
    TokenStream answer(@V("question") String question);
}
