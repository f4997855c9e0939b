package io.github.skim4j.samples.assistant;

import dev.langchain4j.data.document.Document;
import io.github.skim4j.engine.Engine;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.springframework.http.HttpStatus;
import org.springframework.http.MediaType;
import org.springframework.http.ResponseEntity;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.server.ResponseStatusException;

/** What the page shows before the first question: the model, the documents, sample questions. */
@RestController
class LibraryController {

    /**
     * @param model name of the model
     * @param device what it runs on
     * @param documents names of the documents
     */
    record About(String model, String device, List<String> documents, List<String> sampleQuestions) {}

    private static final MediaType PLAIN_TEXT = new MediaType(MediaType.TEXT_PLAIN, StandardCharsets.UTF_8);

    private final Engine engine;
    private final Library library;
    private final List<String> sampleQuestions;

    LibraryController(Engine engine, Library library, AssistantProperties properties) {
        this.engine = engine;
        this.library = library;
        this.sampleQuestions = properties.sampleQuestions();
    }

    @GetMapping("/api/about")
    About about() {
        return new About(
                engine.modelName(),
                engine.stats().device(),
                library.documents().stream().map(Library::name).toList(),
                sampleQuestions);
    }

    @GetMapping("/api/documents/{name}")
    ResponseEntity<String> document(@PathVariable String name) {
        Document document = library.find(name)
                .orElseThrow(() -> new ResponseStatusException(HttpStatus.NOT_FOUND, "No document has this name."));
        return ResponseEntity.ok()
                .contentType(PLAIN_TEXT)
                .header("X-Content-Type-Options", "nosniff")
                .body(document.text());
    }
}
