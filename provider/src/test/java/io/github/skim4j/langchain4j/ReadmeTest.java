package io.github.skim4j.langchain4j;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.function.Predicate;
import org.junit.jupiter.api.Test;

class ReadmeTest {

    private final String readme;

    ReadmeTest() throws IOException {
        readme = Files.readString(Path.of("README.md"));
    }

    @Test
    void showsTheExampleThatIsCompiled() throws IOException {
        String example = Files.readString(Path.of("src/test/java/example/AskInProcess.java"));

        assertThat(readme).contains("```java\n" + example.strip() + "\n```");
    }

    @Test
    void namesEveryBuilderOption() {
        assertThat(names(SkimModelBuilder.class, method -> method.getParameterCount() == 1))
                .contains("engineConfig", "timeout")
                .allSatisfy(option -> assertThat(readme).containsPattern("`" + option + "[`(]"));
    }

    @Test
    void namesEveryParameterAndEveryFieldOfTheMetadata() {
        Predicate<Method> getter = method -> method.getParameterCount() == 0
                && Modifier.isPublic(method.getModifiers())
                && !List.of("builder", "toBuilder", "toString", "hashCode").contains(method.getName());

        assertThat(names(SkimChatRequestParameters.class, getter))
                .hasSize(4)
                .allSatisfy(parameter -> assertThat(readme).contains("| `" + parameter + "` |"));
        assertThat(names(SkimChatResponseMetadata.class, getter))
                .contains("timeToFirstToken", "attendedDensity", "keptMass")
                .allSatisfy(field -> assertThat(readme).containsPattern("\\n\\| [^|]*`" + field + "`[^|]* \\|"));
    }

    private static List<String> names(Class<?> type, Predicate<Method> which) {
        return Arrays.stream(type.getDeclaredMethods())
                .filter(method -> !method.isSynthetic())
                .filter(which)
                .map(Method::getName)
                .distinct()
                .toList();
    }
}
