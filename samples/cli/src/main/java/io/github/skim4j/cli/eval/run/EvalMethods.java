package io.github.skim4j.cli.eval.run;

import io.github.skim4j.cli.AttentionSpec;
import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.attention.Budget;
import java.util.ArrayList;
import java.util.List;

/** The methods of an evaluation as the user lists them. */
public final class EvalMethods {

    private EvalMethods() {}

    /**
     * The methods in order; one that needs a budget and names none comes once with each of {@code budgets}.
     *
     * @throws IllegalArgumentException as {@link AttentionMethod#parse}
     */
    public static List<AttentionSpec> of(List<String> specs, List<Budget> budgets) {
        List<AttentionSpec> methods = new ArrayList<>();
        for (String spec : specs) {
            if (budgets.isEmpty() || !needsBudget(spec)) {
                methods.add(new AttentionSpec(spec, AttentionMethod.parse(spec)));
                continue;
            }
            for (Budget budget : budgets) {
                String full = spec + (spec.contains(":") ? "," : ":") + "budget=" + budget;
                methods.add(new AttentionSpec(full, AttentionMethod.parse(full)));
            }
        }
        return methods;
    }

    private static boolean needsBudget(String spec) {
        if (spec.contains("budget=")) {
            return false;
        }
        try {
            AttentionMethod.parse(spec);
            return false;
        } catch (IllegalArgumentException e) {
            return true;
        }
    }
}
