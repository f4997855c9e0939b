package io.github.skim4j.samples.assistant;

import dev.langchain4j.data.document.Document;
import dev.langchain4j.data.document.loader.FileSystemDocumentLoader;
import dev.langchain4j.data.document.parser.TextDocumentParser;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import org.springframework.stereotype.Component;

/** The documents, read once at the start. */
@Component
class Library {

    private final List<Document> documents;

    Library(AssistantProperties properties) {
        Path folder = properties.documents().toAbsolutePath().normalize();
        if (!Files.isDirectory(folder)) {
            throw new IllegalStateException("assistant.documents is not a folder: " + folder
                    + ". Set it to the folder with your documents; a relative path starts at the working directory.");
        }
        documents = FileSystemDocumentLoader.loadDocuments(
                        folder,
                        FileSystems.getDefault().getPathMatcher("glob:" + properties.filePattern()),
                        new TextDocumentParser())
                .stream()
                .sorted(Comparator.comparing(Library::name))
                .toList();
        if (documents.isEmpty()) {
            throw new IllegalStateException("assistant.documents has no text that matches assistant.file-pattern \""
                    + properties.filePattern() + "\": " + folder);
        }
    }

    static String name(Document document) {
        return document.metadata().getString(Document.FILE_NAME);
    }

    List<Document> documents() {
        return documents;
    }

    Optional<Document> find(String name) {
        return documents.stream()
                .filter(document -> name(document).equals(name))
                .findFirst();
    }
}
