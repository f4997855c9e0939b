package io.github.skim4j.cli.eval.tasks;

import java.util.List;
import java.util.function.IntFunction;

/**
 * A task's question over a text that can be made as long as one likes.
 *
 * @param minimum fewest units of text with which the answer stands
 * @param text everything before the question, with so many units of filler
 * @param question what stands after it
 * @param values what the answer must name
 */
record Sample(int minimum, IntFunction<String> text, String question, List<String> values) {}
