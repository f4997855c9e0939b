package io.github.skim4j.cli.eval.tasks;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.skim4j.cli.eval.cases.EvalCase;
import io.github.skim4j.engine.SkimException;
import io.github.skim4j.engine.chat.ChatMessage;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class TaskGeneratorTest {

    private static final int AROUND = 4;

    /** A word is a token, and the template has four. */
    private static int tokens(List<ChatMessage> chat) {
        return AROUND
                + (int) Arrays.stream(chat.get(0).content().split("\\s+"))
                        .filter(word -> !word.isEmpty())
                        .count();
    }

    private static List<EvalCase> generate(Task task, int context, int samples, long seed) {
        return new TaskGenerator(TaskGeneratorTest::tokens, seed).generate(List.of(task), List.of(context), samples);
    }

    private static String prompt(EvalCase evalCase) {
        return evalCase.messages().get(0).content();
    }

    @ParameterizedTest
    @EnumSource
    void fillsTheContextAndNoMore(Task task) {
        for (int context : List.of(1000, 4096, 10_000)) {
            for (EvalCase each : generate(task, context, 3, 1)) {
                int used = tokens(each.messages()) + each.maxTokens();
                // A unit of text is a sentence of at most 14 words, or a word that stands three times with its number.
                assertThat(used).as(each.id()).isBetween(context - 14, context);
                assertThat(each.contextTokens()).isEqualTo(context);
                assertThat(each.type()).isEqualTo(task.toString());
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void theSameSeedMakesTheSameCasesWhateverElseIsMade(Task task) {
        List<EvalCase> cases = generate(task, 1500, 3, 7);
        assertThat(generate(task, 1500, 3, 7)).isEqualTo(cases);
        assertThat(new TaskGenerator(TaskGeneratorTest::tokens, 7)
                        .generate(List.of(Task.values()), List.of(1000, 1500), 1))
                .contains(cases.get(0));
        assertThat(new HashSet<>(cases)).hasSize(3);
        assertThat(generate(task, 1500, 1, 8).get(0).values())
                .isNotEqualTo(cases.get(0).values());
    }

    @ParameterizedTest
    @EnumSource
    void theQuestionStandsWithinTheQuestionTokens(Task task) {
        EvalCase each = generate(task, 1000, 1, 3).get(0);
        String[] words = prompt(each).split("\\s+");
        String question = String.join(
                " ", Arrays.asList(words).subList(words.length - (each.questionTokens() - AROUND), words.length));
        assertThat(question).matches("(What|Find|Do not) .*");
    }

    /** Cases are compared across versions: what makes others must change their ids too. */
    @Test
    void casesStayTheSame() {
        Map<Task, String> golden = new LinkedHashMap<>();
        for (Task task : Task.values()) {
            golden.put(task, generate(task, 1000, 1, 1).get(0).fingerprint());
        }
        assertThat(golden)
                .containsExactlyInAnyOrderEntriesOf(Map.of(
                        Task.NIAH_SINGLE, "66e1c6ce04e6d565",
                        Task.NIAH_MULTIKEY, "080d654684e6c958",
                        Task.NIAH_MULTIVALUE, "7c6f7993a6b28151",
                        Task.NIAH_MULTIQUERY, "41589320ed7d7a12",
                        Task.VT, "5d5c0bf587505fe8",
                        Task.CWE, "4fcf6035a974ebca",
                        Task.FWE, "55329de26f2812c9"));
    }

    @Test
    void aNeedleInAHaystack() {
        EvalCase each = generate(Task.NIAH_SINGLE, 256, 1, 1).get(0);
        assertThat(each.id()).isEqualTo("niah-single-256-seed1-0");
        assertThat(prompt(each))
                .startsWith("Some special magic numbers are hidden within the following text.")
                .contains("One of the special magic numbers for ")
                .containsPattern(
                        "\n\nWhat are all the special magic numbers for [a-z]+-[a-z]+ mentioned in the provided text\\?$");
    }

    @Test
    void needlesHaveTheNumbersOfKeysAndValuesThatTheirNamesSay() {
        Map<Task, List<Integer>> needlesAndExpected = Map.of(
                Task.NIAH_SINGLE, List.of(1, 1),
                Task.NIAH_MULTIKEY, List.of(4, 1),
                Task.NIAH_MULTIVALUE, List.of(4, 4),
                Task.NIAH_MULTIQUERY, List.of(4, 4));
        needlesAndExpected.forEach((task, counts) -> {
            for (EvalCase each : generate(task, 1000, 5, 1)) {
                Map<String, List<String>> byKey = new LinkedHashMap<>();
                var needles = Pattern.compile("magic numbers for (\\S+) is: (\\d{7})\\.")
                        .matcher(prompt(each));
                List<String> expected = new ArrayList<>();
                String question = prompt(each).substring(prompt(each).lastIndexOf('\n'));
                int found = 0;
                while (needles.find()) {
                    found++;
                    byKey.computeIfAbsent(needles.group(1), key -> new ArrayList<>())
                            .add(needles.group(2));
                    if (question.contains(needles.group(1))) {
                        expected.add(needles.group(2));
                    }
                }
                assertThat(found).as(each.id()).isEqualTo(counts.get(0));
                assertThat(byKey).hasSize(task == Task.NIAH_SINGLE || task == Task.NIAH_MULTIVALUE ? 1 : 4);
                assertThat(each.values()).hasSize(counts.get(1)).containsExactlyInAnyOrderElementsOf(expected);
            }
        });
    }

    @Test
    void variablesAreAssignedInOrderAlongTheChain() {
        for (EvalCase each : generate(Task.VT, 1000, 5, 1)) {
            Map<String, String> assigned = new LinkedHashMap<>();
            var assignments =
                    Pattern.compile("VAR ([A-Z]{5}) = (?:VAR )?(\\w+)\\.").matcher(prompt(each));
            while (assignments.find()) {
                assigned.put(assignments.group(1), assigned.getOrDefault(assignments.group(2), assignments.group(2)));
            }
            String value = assigned.values().iterator().next();
            assertThat(value).matches("\\d{5}");
            assertThat(assigned).containsOnlyKeys(each.values()).hasSize(5);
            assertThat(assigned.values()).containsOnly(value);
            assertThat(prompt(each))
                    .endsWith("the value " + value + " in the text above, directly or through another variable.");
        }
    }

    private static Map<String, Integer> counts(String prompt) {
        Map<String, Integer> counts = new LinkedHashMap<>();
        for (String word : prompt.split("\\s+")) {
            counts.merge(word, 1, Integer::sum);
        }
        return counts;
    }

    @Test
    void commonWordsStandThirtyTimesAndOthersThreeTimes() {
        EvalCase each = generate(Task.CWE, 4096, 1, 1).get(0);
        Map<String, Integer> counts =
                counts(prompt(each).substring(0, prompt(each).indexOf("\n\n")));
        assertThat(each.values())
                .hasSize(10)
                .allSatisfy(word -> assertThat(counts.get(word)).isEqualTo(30));
        assertThat(counts.values().stream().filter(count -> count == 3).count()).isGreaterThan(400);
        assertThat(prompt(each)).contains("\n1. ", " 300. ");
    }

    @Test
    void frequentWordsAreTheThreeMostFrequentAfterTheDots() {
        for (EvalCase each : generate(Task.FWE, 1000, 5, 1)) {
            Map<String, Integer> counts =
                    counts(prompt(each).substring(prompt(each).indexOf("words. ") + 7));
            List<String> ranked = counts.entrySet().stream()
                    .sorted(Map.Entry.<String, Integer>comparingByValue().reversed())
                    .map(Map.Entry::getKey)
                    .toList();
            assertThat(ranked.get(0)).isEqualTo("...");
            assertThat(ranked.subList(1, 4)).isEqualTo(each.values());
            assertThat(counts.get(ranked.get(3))).isGreaterThan(counts.get(ranked.get(4)));
        }
    }

    @Test
    void aContextThatIsTooShortIsToldWithWhatItTakes() {
        assertThatThrownBy(() -> generate(Task.CWE, 500, 1, 1))
                .isInstanceOf(SkimException.class)
                .hasMessageContaining("500 tokens is too short for the task cwe, which takes at least 7");
    }
}
