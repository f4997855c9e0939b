package io.github.skim4j.cli.eval.tasks;

import io.github.skim4j.cli.eval.cases.EvalCase;
import io.github.skim4j.engine.SkimException;
import io.github.skim4j.engine.chat.ChatMessage;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.SplittableRandom;
import java.util.function.ToIntFunction;

/** Makes cases of {@link Task}s; the same seed and tokenizer make the same cases. */
public final class TaskGenerator {

    private final ToIntFunction<List<ChatMessage>> promptTokens;
    private final long seed;

    /** @param promptTokens length of a prompt with all that the chat template adds */
    public TaskGenerator(ToIntFunction<List<ChatMessage>> promptTokens, long seed) {
        this.promptTokens = promptTokens;
        this.seed = seed;
    }

    /**
     * Cases of each task in each length, by length.
     *
     * @param contexts tokens of a prompt with its answer
     * @param samples cases of each task and length
     * @throws SkimException if a length is too short for a task
     */
    public List<EvalCase> generate(List<Task> tasks, List<Integer> contexts, int samples) {
        List<EvalCase> cases = new ArrayList<>();
        for (int context : contexts) {
            for (Task task : tasks) {
                for (int i = 0; i < samples; i++) {
                    cases.add(generate(task, context, i));
                }
            }
        }
        return cases;
    }

    private EvalCase generate(Task task, int context, int index) {
        // A case depends on nothing but what its id says, so that more samples or other tasks don't change it.
        SplittableRandom random =
                new SplittableRandom(((seed * 31 + task.name().hashCode()) * 31 + context) * 1_000_003 + index);
        Sample sample = task.sample(random);
        int most = context - task.maxTokens();
        if (tokens(sample, sample.minimum()) > most) {
            throw new SkimException("a context of " + context + " tokens is too short for the task " + task
                    + ", which takes at least " + (tokens(sample, sample.minimum()) + task.maxTokens()));
        }
        int units = longest(sample, most);
        List<ChatMessage> messages = messages(sample, units);
        return new EvalCase(
                String.format(Locale.ROOT, "%s-%d-seed%d-%d", task, context, seed, index),
                task.toString(),
                context,
                messages,
                String.join(", ", sample.values()),
                sample.values(),
                questionTokens(sample, units),
                task.maxTokens());
    }

    /** Most units of text with which the prompt has at most {@code tokens}. */
    private int longest(Sample sample, int tokens) {
        int fits = sample.minimum();
        int tooMany = 2 * fits;
        while (tokens(sample, tooMany) <= tokens) {
            fits = tooMany;
            tooMany *= 2;
        }
        while (tooMany - fits > 1) {
            int middle = (fits + tooMany) >>> 1;
            if (tokens(sample, middle) <= tokens) {
                fits = middle;
            } else {
                tooMany = middle;
            }
        }
        return fits;
    }

    private int tokens(Sample sample, int units) {
        return promptTokens.applyAsInt(messages(sample, units));
    }

    /** The question with what the chat template puts around a message; a few tokens too many rather than too few. */
    private int questionTokens(Sample sample, int units) {
        int around = promptTokens.applyAsInt(List.of(ChatMessage.user("")));
        int text =
                promptTokens.applyAsInt(List.of(ChatMessage.user(sample.text().apply(units))));
        return tokens(sample, units) - text + around;
    }

    private static List<ChatMessage> messages(Sample sample, int units) {
        return List.of(ChatMessage.user(sample.text().apply(units) + sample.question()));
    }
}
