package io.github.skim4j.cli.eval.tasks;

import java.util.HashSet;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.function.Supplier;

/** Words and sentences drawn at random. */
final class Words {

    private static final String[] ADJECTIVES =
            ("quiet amber brisk hollow gentle copper distant early faded golden humble ivory jolly keen level mellow narrow olden plain "
                            + "rapid silver tidy upper velvet warm young bitter calm dusty eager frozen grand heavy idle late mild northern pale "
                            + "rough simple tall usual vivid western wide broad clever damp even")
                    .split(" ");
    private static final String[] NOUNS =
            ("harbor meadow lantern orchard bridge valley window garden station market river tower village cottage forest island kitchen "
                            + "library mountain office path quarry road school tunnel vineyard workshop barn canal depot farm gate hall inn jetty "
                            + "lake mill nursery park quay ridge shop theatre yard chapel dock ferry grove hut lodge")
                    .split(" ");
    private static final String[] PEOPLE =
            ("baker driver farmer gardener keeper miller painter porter sailor teacher weaver clerk carpenter doctor fisher guide mason "
                            + "nurse potter shepherd tailor visitor writer student")
                    .split(" ");
    private static final String[] VERBS =
            ("crossed described visited passed admired left found measured cleaned painted drew watched opened closed remembered repaired "
                            + "noticed praised explored avoided")
                    .split(" ");
    private static final String[] TIMES =
            ("before noon|after the rain|in the morning|late in the day|without a word|once more|for a while|with great care|on the way home|"
                            + "as the bell rang|in early spring|while the others slept|at the end of the week|by the light of the moon")
                    .split("\\|");
    private static final String[] ONSETS = "b d f g h j k l m n p r s t v z br dr gr kl pl st tr".split(" ");
    private static final String[] VOWELS = "a e i o u ai ea ou".split(" ");

    private final SplittableRandom random;
    private final Set<String> used = new HashSet<>();

    Words(SplittableRandom random) {
        this.random = random;
    }

    /** A sentence that says nothing of interest. */
    String sentence() {
        return "The " + pick(ADJECTIVES) + " " + pick(PEOPLE) + " " + pick(VERBS) + " the " + pick(ADJECTIVES) + " "
                + pick(NOUNS) + " " + pick(TIMES) + ".";
    }

    /** Two words, such as {@code quiet-harbor}; never the same twice. */
    String key() {
        return unused(() -> pick(ADJECTIVES) + "-" + pick(NOUNS));
    }

    /** A number of seven digits; never the same twice. */
    String number() {
        return unused(() -> Integer.toString(random.nextInt(1_000_000, 10_000_000)));
    }

    /** Five capital letters; never the same twice. */
    String variable() {
        return unused(() -> {
            StringBuilder name = new StringBuilder();
            for (int i = 0; i < 5; i++) {
                name.append((char) ('A' + random.nextInt(26)));
            }
            return name.toString();
        });
    }

    /** A word of three syllables that no language has; never the same twice. */
    String word() {
        return unused(() -> {
            StringBuilder word = new StringBuilder();
            for (int i = 0; i < 3; i++) {
                word.append(pick(ONSETS)).append(pick(VOWELS));
            }
            return word.append('n').toString();
        });
    }

    private String unused(Supplier<String> draw) {
        String drawn = draw.get();
        while (!used.add(drawn)) {
            drawn = draw.get();
        }
        return drawn;
    }

    private String pick(String[] from) {
        return from[random.nextInt(from.length)];
    }
}
