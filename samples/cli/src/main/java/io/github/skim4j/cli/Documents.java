package io.github.skim4j.cli;

import io.github.skim4j.engine.SkimException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;

/** Text files and the message that puts them to a model. */
final class Documents {

    private Documents() {}

    /**
     * One user message with the documents before the question, so that questions about the same documents share a prefix.
     *
     * @throws SkimException naming the file that can't be read as text
     */
    static String prompt(List<Path> files, String question) {
        return files.stream().map(Documents::read).collect(Collectors.joining("\n\n", "Documents:\n\n", "\n\n"))
                + question;
    }

    private static String read(Path file) {
        try {
            byte[] bytes = Files.readAllBytes(file);
            String text = StandardCharsets.UTF_8
                    .newDecoder()
                    .decode(ByteBuffer.wrap(bytes))
                    .toString();
            if (text.indexOf('\0') >= 0) {
                throw notText(file);
            }
            text = text.startsWith("\uFEFF") ? text.substring(1) : text;
            if (text.isBlank()) {
                throw new SkimException("document " + file + " is empty");
            }
            return text.strip();
        } catch (NoSuchFileException e) {
            throw new SkimException("document " + file + " does not exist", e);
        } catch (CharacterCodingException e) {
            throw notText(file);
        } catch (IOException e) {
            String why = Files.isDirectory(file) ? "it is a folder" : e.getMessage();
            throw new SkimException("document " + file + " can't be read: " + why, e);
        }
    }

    private static SkimException notText(Path file) {
        return new SkimException(
                "document " + file + " is not UTF-8 text: convert it first, such as with iconv or pdftotext");
    }
}
