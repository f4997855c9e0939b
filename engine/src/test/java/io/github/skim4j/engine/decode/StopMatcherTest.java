package io.github.skim4j.engine.decode;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.Test;

class StopMatcherTest {

    @Test
    void passesTextWithoutStops() {
        StopMatcher matcher = new StopMatcher(List.of());
        assertThat(matcher.accept("anything")).isEqualTo("anything");
        assertThat(matcher.flush()).isEmpty();
    }

    @Test
    void findsAStopAcrossPieces() {
        StopMatcher matcher = new StopMatcher(List.of("END"));
        assertThat(matcher.accept("one E")).isEqualTo("one ");
        assertThat(matcher.accept("N")).isEmpty();
        assertThat(matcher.stopped()).isFalse();
        assertThat(matcher.accept("D two")).isEmpty();
        assertThat(matcher.stopped()).isTrue();
        assertThat(matcher.accept("three")).isEmpty();
        assertThat(matcher.flush()).isEmpty();
    }

    @Test
    void letsGoOfWhatWasNoStop() {
        StopMatcher matcher = new StopMatcher(List.of("END"));
        assertThat(matcher.accept("E")).isEmpty();
        assertThat(matcher.accept("x")).isEqualTo("Ex");
        assertThat(matcher.accept("EN")).isEmpty();
        assertThat(matcher.flush()).isEqualTo("EN");
    }

    @Test
    void takesTheFirstOfSeveral() {
        StopMatcher matcher = new StopMatcher(List.of("later", "\n"));
        assertThat(matcher.accept("a\nlater")).isEqualTo("a");
    }

    @RepeatedTest(200)
    void agreesWithASearchInTheWholeText() {
        long seed = System.nanoTime();
        Random random = new Random(seed);
        List<String> stops = List.of(word(random, 1 + random.nextInt(3)), word(random, 2 + random.nextInt(4)));
        String text = word(random, random.nextInt(60));
        StopMatcher matcher = new StopMatcher(stops);
        StringBuilder out = new StringBuilder();
        // A stop counts as soon as it is complete: cut the text after the first completed one and take the leftmost in
        // it.
        int end = text.length();
        for (int i = 0; i <= text.length() && end == text.length(); i++) {
            String prefix = text.substring(0, i);
            if (stops.stream().anyMatch(prefix::endsWith)) {
                end = i;
                break;
            }
        }
        String seen = text.substring(0, end);
        int cut =
                stops.stream().mapToInt(seen::indexOf).filter(i -> i >= 0).min().orElse(seen.length());
        for (char c : text.toCharArray()) {
            out.append(matcher.accept(String.valueOf(c)));
        }
        out.append(matcher.flush());
        assertThat(out.toString())
                .as("text %s, stops %s, seed %s", text, stops, seed)
                .isEqualTo(text.substring(0, cut));
    }

    private static String word(Random random, int length) {
        StringBuilder word = new StringBuilder();
        for (int i = 0; i < length; i++) {
            word.append((char) ('a' + random.nextInt(2)));
        }
        return word.toString();
    }
}
