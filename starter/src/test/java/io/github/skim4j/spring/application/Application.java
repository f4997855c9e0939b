package io.github.skim4j.spring.application;

import dev.langchain4j.service.TokenStream;
import dev.langchain4j.service.spring.AiService;
import org.springframework.boot.autoconfigure.SpringBootApplication;

/** An application as a user writes it. */
@SpringBootApplication
class Application {

    @AiService
    interface Assistant {

        String answer(String question);

        TokenStream stream(String question);
    }
}
