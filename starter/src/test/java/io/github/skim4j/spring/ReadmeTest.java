package io.github.skim4j.spring;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.springframework.boot.env.YamlPropertySourceLoader;
import org.springframework.core.env.EnumerablePropertySource;
import org.springframework.core.io.ByteArrayResource;

class ReadmeTest {

    private String readme;

    @BeforeEach
    void read() throws IOException {
        readme = Files.readString(Path.of("README.md"));
    }

    @Test
    void tableOfPropertiesIsThatOfTheMetadata() {
        List<String> expected = Metadata.read().properties().entrySet().stream()
                .map(ReadmeTest::row)
                .toList();

        assertThat(section("## Properties").lines().filter(line -> line.startsWith("| `")))
                .containsExactlyElementsOf(expected);
    }

    private static String row(Map.Entry<String, JsonNode> entry) {
        JsonNode property = entry.getValue();
        String defaultValue = property.path("defaultValue").asText();
        return "| `%s` | `%s` | %s | %s |"
                .formatted(
                        entry.getKey().substring(SkimProperties.PREFIX.length() + 1),
                        // java.util.List<java.lang.String> becomes List<String>, a nested class its own name.
                        property.path("type").asText().replaceAll("[\\w.]+[.$](?=\\w)", ""),
                        defaultValue.isEmpty() ? "" : "`" + defaultValue + "`",
                        property.path("description").asText());
    }

    @Test
    void propertiesOfTheExampleExist() throws IOException {
        Matcher yaml = Pattern.compile("```yaml\n(.*?)```", Pattern.DOTALL).matcher(readme);
        assertThat(yaml.find()).isTrue();
        EnumerablePropertySource<?> example = (EnumerablePropertySource<?>) new YamlPropertySourceLoader()
                .load("example", new ByteArrayResource(yaml.group(1).getBytes(StandardCharsets.UTF_8)))
                .get(0);

        assertThat(Metadata.read().properties().keySet()).contains(example.getPropertyNames());
    }

    private String section(String heading) {
        int start = readme.indexOf(heading);
        return readme.substring(start, readme.indexOf("\n## ", start + 1));
    }
}
