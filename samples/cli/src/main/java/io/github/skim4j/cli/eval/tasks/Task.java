package io.github.skim4j.cli.eval.tasks;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.SplittableRandom;
import java.util.function.Function;
import java.util.function.IntFunction;

/**
 * Tasks in the style of RULER (arXiv 2404.06654, section 3 and appendix B), with text of our own: needles in a haystack, variable
 * tracking, common words and frequent words. The question stands at the end, and no example comes before it.
 */
public enum Task {
    /** One needle: a key's value. */
    NIAH_SINGLE(128, random -> needles(random, 1, 1, 1)),
    /** The values of four keys, of which one is asked for. */
    NIAH_MULTIKEY(128, random -> needles(random, 4, 1, 1)),
    /** All four values of a key. */
    NIAH_MULTIVALUE(128, random -> needles(random, 1, 4, 1)),
    /** The values of four keys, all asked for. */
    NIAH_MULTIQUERY(128, random -> needles(random, 4, 1, 4)),
    /** Variable tracking: which variables have a value, through a chain of four assignments. */
    VT(128, Task::variables),
    /** Common words: the ten words that stand thirty times in a list, where others stand three times. */
    CWE(128, Task::commonWords),
    /** Frequent words: the three most frequent words of a text whose frequencies fall with the square of the rank. */
    FWE(64, Task::frequentWords);

    private static final int HOPS = 4;
    private static final int COMMON_WORDS = 10;
    private static final int COMMON_REPEATS = 30;
    private static final int RARE_REPEATS = 3;
    private static final int FREQUENT_WORDS = 3;
    private static final double ZETA_2 = Math.PI * Math.PI / 6;

    private final int maxTokens;
    private final Function<SplittableRandom, Sample> samples;

    Task(int maxTokens, Function<SplittableRandom, Sample> samples) {
        this.maxTokens = maxTokens;
        this.samples = samples;
    }

    /** Most tokens of an answer. */
    public int maxTokens() {
        return maxTokens;
    }

    Sample sample(SplittableRandom random) {
        return samples.apply(random);
    }

    /** As the user writes it, such as {@code niah-single}. */
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }

    private static Sample needles(SplittableRandom random, int keys, int valuesOfKey, int queries) {
        Words words = new Words(random);
        List<String> needles = new ArrayList<>();
        List<String> asked = new ArrayList<>();
        List<String> expected = new ArrayList<>();
        for (int k = 0; k < keys; k++) {
            String key = words.key();
            if (k < queries) {
                asked.add(key);
            }
            for (int v = 0; v < valuesOfKey; v++) {
                String value = words.number();
                needles.add("One of the special magic numbers for " + key + " is: " + value + ".");
                if (k < queries) {
                    expected.add(value);
                }
            }
        }
        shuffle(needles, random);
        return new Sample(
                needles.size(),
                haystack(
                        "Some special magic numbers are hidden within the following text. Make sure to memorize them. I will quiz you about"
                                + " the numbers afterwards.\n",
                        needles,
                        random,
                        words),
                "What are all the special magic numbers for " + String.join(", ", asked)
                        + " mentioned in the provided text?",
                expected);
    }

    private static Sample variables(SplittableRandom random) {
        Words words = new Words(random);
        String value = Integer.toString(random.nextInt(10_000, 100_000));
        List<String> names = new ArrayList<>();
        List<String> assignments = new ArrayList<>();
        for (int i = 0; i <= HOPS; i++) {
            names.add(words.variable());
            assignments.add("VAR " + names.get(i) + " = " + (i == 0 ? value : "VAR " + names.get(i - 1)) + ".");
        }
        return new Sample(
                assignments.size(),
                haystack(
                        "Memorize and track the chain of variable assignment hidden in the following text.\n",
                        assignments,
                        random,
                        words),
                "Find all variables that are assigned the value " + value
                        + " in the text above, directly or through another variable.",
                names);
    }

    /** Sentences of filler with {@code facts} among them in this order, at places that do not depend on the length. */
    private static IntFunction<String> haystack(
            String introduction, List<String> facts, SplittableRandom random, Words words) {
        double[] depths = random.doubles(facts.size()).sorted().toArray();
        List<String> filler = new ArrayList<>();
        return sentences -> {
            while (filler.size() < sentences) {
                filler.add(words.sentence());
            }
            StringBuilder text = new StringBuilder(introduction);
            int next = 0;
            for (int i = 0; i < sentences; i++) {
                while (next < depths.length && depths[next] * sentences < i + 1) {
                    text.append(facts.get(next++)).append(' ');
                }
                text.append(filler.get(i)).append(i % 8 == 7 ? '\n' : ' ');
            }
            return text.append("\n\n").toString();
        };
    }

    private static Sample commonWords(SplittableRandom random) {
        Words words = new Words(random);
        List<String> common = draw(words, COMMON_WORDS);
        List<String> rare = new ArrayList<>();
        long order = random.nextLong();
        IntFunction<String> text = units -> {
            while (rare.size() < units) {
                rare.add(words.word());
            }
            List<String> list = new ArrayList<>();
            common.forEach(word -> repeat(word, COMMON_REPEATS, list));
            rare.subList(0, units).forEach(word -> repeat(word, RARE_REPEATS, list));
            shuffle(list, new SplittableRandom(order));
            StringBuilder numbered = new StringBuilder(
                    "Below is a numbered list of words. In these words, some appear more often than others. Memorize the ones that appear most"
                            + " often.\n");
            for (int i = 0; i < list.size(); i++) {
                numbered.append(i + 1).append(". ").append(list.get(i)).append(' ');
            }
            return numbered.append("\n\n").toString();
        };
        return new Sample(1, text, "What are the 10 most common words in the above list?", common);
    }

    private static Sample frequentWords(SplittableRandom random) {
        Words words = new Words(random);
        List<String> ranked = new ArrayList<>(List.of("..."));
        long order = random.nextLong();
        IntFunction<String> text = units -> {
            List<String> coded = new ArrayList<>();
            for (int rank = 1; coded.size() < units; rank++) {
                if (ranked.size() < rank) {
                    ranked.add(words.word());
                }
                int count = Math.max(1, (int) Math.round(units / (ZETA_2 * rank * rank)));
                repeat(ranked.get(rank - 1), Math.min(count, units - coded.size()), coded);
            }
            shuffle(coded, new SplittableRandom(order));
            return "Read the following coded text and track the frequency of each coded word. Find the three most frequently appeared coded"
                    + " words. " + String.join(" ", coded) + "\n\n";
        };
        text.apply(100);
        return new Sample(
                100,
                text,
                "Do not provide any explanation. Please ignore the dots '...'. What are the three most frequently appeared words in the above"
                        + " coded text?",
                List.copyOf(ranked.subList(1, 1 + FREQUENT_WORDS)));
    }

    private static List<String> draw(Words words, int count) {
        List<String> drawn = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            drawn.add(words.word());
        }
        return drawn;
    }

    private static void repeat(String word, int times, List<String> list) {
        for (int i = 0; i < times; i++) {
            list.add(word);
        }
    }

    private static void shuffle(List<String> list, SplittableRandom random) {
        for (int i = list.size() - 1; i > 0; i--) {
            Collections.swap(list, i, random.nextInt(i + 1));
        }
    }
}
