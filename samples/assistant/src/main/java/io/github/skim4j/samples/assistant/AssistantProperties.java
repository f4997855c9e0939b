package io.github.skim4j.samples.assistant;

import jakarta.validation.constraints.Max;
import jakarta.validation.constraints.Min;
import jakarta.validation.constraints.NotBlank;
import jakarta.validation.constraints.NotNull;
import java.nio.file.Path;
import java.util.List;
import org.springframework.boot.context.properties.ConfigurationProperties;
import org.springframework.boot.context.properties.bind.DefaultValue;
import org.springframework.validation.annotation.Validated;

/**
 * Settings of this application; those of the model are under {@code langchain4j.skim}.
 *
 * @param documents folder with the documents, relative to the working directory
 * @param filePattern which of its files are read, as a glob on the file name; all must be UTF-8 text
 * @param segmentLength most characters of a segment, the unit that retrieval finds
 * @param topK segments that go with a question
 * @param maxQuestionLength most characters of a question
 * @param sampleQuestions shown as buttons on the page
 */
@Validated
@ConfigurationProperties("assistant")
public record AssistantProperties(
        @NotNull Path documents,
        @NotBlank @DefaultValue("*.{md,txt}") String filePattern,
        @Min(100) @Max(20_000) @DefaultValue("600") int segmentLength,
        @Min(1) @Max(200) @DefaultValue("20") int topK,
        @Min(1) @DefaultValue("1000") int maxQuestionLength,
        @DefaultValue List<@NotBlank String> sampleQuestions) {}
