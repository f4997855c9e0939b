package io.github.skim4j.samples.assistant;

import org.springframework.http.HttpStatus;
import org.springframework.http.MediaType;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.server.ResponseStatusException;
import org.springframework.web.servlet.mvc.method.annotation.SseEmitter;

/** Answers questions. */
@RestController
class AnswerController {

    record Question(String question) {}

    private final Assistant assistant;
    private final int maxQuestionLength;

    AnswerController(Assistant assistant, AssistantProperties properties) {
        this.assistant = assistant;
        this.maxQuestionLength = properties.maxQuestionLength();
    }

    @PostMapping(path = "/api/answers", produces = MediaType.TEXT_EVENT_STREAM_VALUE)
    SseEmitter answer(@RequestBody Question body) {
        String question = body.question();
        if (question == null || question.isBlank()) {
            throw new ResponseStatusException(HttpStatus.BAD_REQUEST, "Please write a question.");
        }
        if (question.length() > maxQuestionLength) {
            throw new ResponseStatusException(
                    HttpStatus.BAD_REQUEST,
                    "The question has " + question.length() + " characters; at most " + maxQuestionLength
                            + " are allowed.");
        }
        return AnswerStream.of(assistant.answer(question.strip()));
    }
}
