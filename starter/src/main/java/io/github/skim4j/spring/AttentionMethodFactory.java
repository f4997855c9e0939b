package io.github.skim4j.spring;

import static io.github.skim4j.spring.InvalidSkimPropertyException.apply;

import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.attention.Budget;
import io.github.skim4j.engine.attention.Dense;
import io.github.skim4j.engine.attention.UnknownAttentionMethodException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * Makes an attention method of the properties that it reads; others are left alone. They are put into words for {@link
 * AttentionMethod#parse}, which knows what is allowed and what the defaults are.
 */
final class AttentionMethodFactory {

    /** With a share of the tokens as its budget a method refuses no setting but one that is wrong by itself. */
    private static final String ANY_BUDGET = "100%";

    private static final Set<String> WITH_DEFAULT_BUDGET = Set.of("twilight", "vattention");

    private final AttentionProperties properties;
    private final int pageSize;

    /** @param pageSize tokens in a page of the KV cache */
    AttentionMethodFactory(AttentionProperties properties, int pageSize) {
        this.properties = properties;
        this.pageSize = pageSize;
    }

    /** @throws InvalidSkimPropertyException naming a property whose value does not do */
    AttentionMethod create() {
        Budget budget = apply("attention.budget", properties.getBudget(), null, (none, text) -> Budget.parse(text));
        return InvalidSkimPropertyException.<AttentionMethod, String>apply(
                "attention.method", properties.getMethod(), new Dense(), (dense, name) -> create(name, budget));
    }

    private AttentionMethod create(String name, Budget budget) {
        Map<String, String> words = new LinkedHashMap<>();
        List<Setting> settings = settings(name);
        if (readsBudget(name)) {
            words.put("budget", ANY_BUDGET);
        }
        for (Setting setting : settings) {
            apply(setting.property(), setting.value(), words, (w, value) -> {
                w.put(setting.key(), setting.words());
                parse(name, w);
                return w;
            });
        }
        if (!readsBudget(name)) {
            return parse(name, words);
        }
        if (budget == null) {
            requireDefaultBudget(name);
            words.remove("budget");
            return parse(name, words);
        }
        return apply("attention.budget", properties.getBudget(), null, (none, text) -> {
            words.put("budget", budget.toString());
            AttentionMethod method = parse(name, words);
            method.requireFits(pageSize);
            return method;
        });
    }

    private static AttentionMethod parse(String name, Map<String, String> words) {
        return AttentionMethod.parse(words.entrySet().stream()
                .map(word -> word.getKey() + "=" + word.getValue())
                .collect(Collectors.joining(",", name + ":", "")));
    }

    private boolean readsBudget(String name) {
        return !name.equals("dense")
                && !(name.equals("twilight")
                        && "dense".equals(properties.getTwilight().getBase()));
    }

    private static void requireDefaultBudget(String name) {
        if (!WITH_DEFAULT_BUDGET.contains(name)) {
            throw new IllegalArgumentException(name + " needs a budget: set " + SkimProperties.PREFIX
                    + ".attention.budget to a number of tokens, such as 1024, or a share of them, such as 12.5%");
        }
    }

    /** What a method reads beside the budget. */
    private List<Setting> settings(String name) {
        return switch (name) {
            case "dense", "tova" -> List.of();
            case "quest", "sketch", "double-sparsity", "oracle", "random" -> selector(name);
            case "twilight" -> twilight(properties.getTwilight());
            case "vattention" -> vAttention(properties.getVattention());
            case "streaming-llm" ->
                List.of(new Setting(
                        "streaming-llm.sinks", properties.getStreamingLlm().getSinks()));
            case "h2o" -> List.of(new Setting("h2o.recent", properties.getH2o().getRecent()));
            case "snapkv" ->
                List.of(
                        new Setting("snapkv.window", properties.getSnapkv().getWindow()),
                        new Setting("snapkv.kernel", properties.getSnapkv().getKernel()));
            default -> throw new UnknownAttentionMethodException(name);
        };
    }

    private List<Setting> selector(String name) {
        List<Setting> always = List.of(
                new Setting("sinks", properties.getSinks()),
                new Setting("recent", properties.getRecent()),
                new Setting("dense-layers", properties.getDenseLayers()),
                new Setting("reuse-interval", properties.getReuseInterval()));
        return switch (name) {
            case "quest" ->
                and(
                        always,
                        new Setting("quest.score", properties.getQuest().getScore()),
                        new Setting("quest.statistics", properties.getQuest().getStatistics()));
            case "sketch" ->
                and(always, new Setting("sketch.coarse", properties.getSketch().getCoarse()));
            case "double-sparsity" ->
                and(
                        always,
                        new Setting(
                                "double-sparsity.channels",
                                properties.getDoubleSparsity().getChannels()));
            case "random" ->
                and(always, new Setting("random.seed", properties.getRandom().getSeed()));
            default -> always;
        };
    }

    /** The base first: it decides which of the other settings there are. */
    private List<Setting> twilight(AttentionProperties.TwilightSettings twilight) {
        return Stream.of(
                        List.of(new Setting("twilight.base", twilight.getBase())),
                        selector(twilight.getBase()),
                        List.of(
                                new Setting("twilight.p", twilight.getP()),
                                new Setting("twilight.logits", twilight.getLogits())))
                .flatMap(List::stream)
                .toList();
    }

    /** The base first, as above; its seed is the method's own. */
    private List<Setting> vAttention(AttentionProperties.VAttentionSettings vattention) {
        return Stream.of(
                        List.of(new Setting("vattention.base", vattention.getBase())),
                        selector(vattention.getBase()),
                        List.of(
                                new Setting("vattention.epsilon", vattention.getEpsilon()),
                                new Setting("vattention.delta", vattention.getDelta()),
                                new Setting("vattention.verify", vattention.getVerify()),
                                new Setting("vattention.pilot", vattention.getPilot()),
                                new Setting("vattention.seed", vattention.getSeed())))
                .flatMap(List::stream)
                .toList();
    }

    private static List<Setting> and(List<Setting> settings, Setting... last) {
        return Stream.concat(settings.stream(), Stream.of(last)).toList();
    }

    /**
     * @param name of the property, below {@code attention}
     * @param value {@code null} takes the method's default
     */
    private record Setting(String name, Object value) {

        String property() {
            return "attention." + name;
        }

        /** Name in words. */
        String key() {
            return name.substring(name.indexOf('.') + 1);
        }

        String words() {
            return value instanceof Enum<?> constant ? constant.name().toLowerCase(Locale.ROOT) : value.toString();
        }
    }
}
