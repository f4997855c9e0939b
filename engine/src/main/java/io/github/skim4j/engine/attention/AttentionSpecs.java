package io.github.skim4j.engine.attention;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Function;
import java.util.stream.Collectors;

/** The textual form of attention methods. */
final class AttentionSpecs {

    private static final Map<String, Function<Settings, AttentionMethod>> METHODS = new LinkedHashMap<>();

    static {
        METHODS.put("dense", s -> new Dense());
        METHODS.put("quest", AttentionSpecs::quest);
        METHODS.put("sketch", AttentionSpecs::sketch);
        METHODS.put("double-sparsity", AttentionSpecs::doubleSparsity);
        METHODS.put("twilight", AttentionSpecs::twilight);
        METHODS.put("vattention", AttentionSpecs::vAttention);
        METHODS.put("streaming-llm", s -> new StreamingLlm(s.budget(), s.integer("sinks", StreamingLlm.DEFAULT_SINKS)));
        METHODS.put("h2o", s -> new H2o(s.budget(), s.number("recent", H2o.DEFAULT_RECENT)));
        METHODS.put("tova", s -> new Tova(s.budget()));
        METHODS.put(
                "snapkv",
                s -> new SnapKv(
                        s.budget(),
                        s.integer("window", SnapKv.DEFAULT_WINDOW),
                        s.integer("kernel", SnapKv.DEFAULT_KERNEL)));
        METHODS.put("oracle", AttentionSpecs::oracle);
        METHODS.put("random", AttentionSpecs::random);
    }

    /** Selectors that {@code twilight} and {@code vattention} can be built on. */
    private static final Map<String, Function<Settings, PageSelector>> BASES = Map.of(
            "quest", AttentionSpecs::quest,
            "sketch", AttentionSpecs::sketch,
            "double-sparsity", AttentionSpecs::doubleSparsity,
            "oracle", AttentionSpecs::oracle,
            "random", AttentionSpecs::random);

    private static Quest quest(Settings s) {
        return new Quest(
                s.budget(),
                s.constant("score", Quest.Score.class, Quest.DEFAULT_SCORE),
                s.constant("statistics", Quest.Statistics.class, Quest.DEFAULT_STATISTICS),
                s.always());
    }

    private static Sketch sketch(Settings s) {
        return new Sketch(s.budget(), s.number("coarse", null), s.always());
    }

    private static DoubleSparsity doubleSparsity(Settings s) {
        return new DoubleSparsity(s.budget(), s.integer("channels", DoubleSparsity.DEFAULT_CHANNELS), s.always());
    }

    private static Oracle oracle(Settings s) {
        return new Oracle(s.budget(), s.always());
    }

    private static RandomPages random(Settings s) {
        return new RandomPages(s.budget(), s.seed(), s.always());
    }

    private static Twilight twilight(Settings s) {
        String base = s.text("base", Twilight.DEFAULT_BASE);
        double p = s.number("p", Twilight.DEFAULT_P);
        Twilight.Logits logits = s.constant("logits", Twilight.Logits.class, Twilight.Logits.INT4);
        if (base.equals("dense")) {
            return new Twilight(null, p, logits, s.always());
        }
        PageSelector selector = s.base(base, Twilight.DEFAULT_BUDGET, Always.DEFAULT);
        return new Twilight(selector, p, logits, selector.always());
    }

    private static VAttention vAttention(Settings s) {
        return new VAttention(
                s.base(s.text("base", VAttention.DEFAULT_BASE), VAttention.DEFAULT_BUDGET, VAttention.DEFAULT_ALWAYS),
                s.number("epsilon", VAttention.DEFAULT_EPSILON),
                s.number("delta", VAttention.DEFAULT_DELTA),
                s.constant("verify", VAttention.Verify.class, VAttention.Verify.DENOMINATOR),
                s.number("pilot", VAttention.DEFAULT_PILOT),
                s.seed());
    }

    /** A selector's settings as those of the method that is built on it. */
    static String baseSpec(PageSelector base) {
        return ",base=" + base.spec().replaceFirst(":", ",");
    }

    private AttentionSpecs() {}

    static List<String> names() {
        return List.copyOf(METHODS.keySet());
    }

    static AttentionMethod parse(String spec) {
        int colon = spec.indexOf(':');
        String name = (colon < 0 ? spec : spec.substring(0, colon)).trim();
        Function<Settings, AttentionMethod> method = METHODS.get(name);
        if (method == null) {
            throw new UnknownAttentionMethodException(name);
        }
        Settings settings = new Settings(name, colon < 0 ? "" : spec.substring(colon + 1));
        AttentionMethod parsed = method.apply(settings);
        settings.requireAllRead();
        return parsed;
    }

    /** The {@code key=value} part; knows which keys were asked for, so that a misspelt one is an error. */
    private static final class Settings {

        private final String method;
        private final Map<String, String> values = new TreeMap<>();
        private final List<String> known = new ArrayList<>();
        private Budget defaultBudget;
        private Always defaultAlways = Always.DEFAULT;
        private Long seed;

        Settings(String method, String text) {
            this.method = method;
            for (String pair : text.isBlank() ? new String[0] : text.split(",")) {
                int equals = pair.indexOf('=');
                if (equals < 1) {
                    throw new IllegalArgumentException(
                            "expected key=value in the settings of " + method + ", but got '" + pair + "'");
                }
                put(pair.substring(0, equals).trim(), pair.substring(equals + 1).trim());
            }
        }

        private void put(String key, String value) {
            String before = values.put(key, value);
            if (before != null && !before.equals(value)) {
                throw new IllegalArgumentException(
                        method + " has '" + key + "' twice, as '" + before + "' and '" + value + "'");
            }
        }

        Budget budget() {
            known.add("budget");
            String value = values.remove("budget");
            if (value == null && defaultBudget == null) {
                throw new IllegalArgumentException(
                        method + " needs a budget, such as " + method + ":budget=1024 or " + method + ":budget=12.5%");
            }
            return value == null ? defaultBudget : Budget.parse(value);
        }

        /** The selector that the method is built on, with what it takes where nothing is set. */
        PageSelector base(String name, Budget budget, Always always) {
            Function<Settings, PageSelector> selector = BASES.get(name);
            if (selector == null) {
                throw new IllegalArgumentException(method + " base must be one of "
                        + String.join(", ", new TreeSet<>(BASES.keySet()))
                        + (method.equals("twilight") ? " or dense" : "") + ", but is '" + name + "'");
            }
            defaultBudget = budget;
            defaultAlways = always;
            return selector.apply(this);
        }

        Always always() {
            return new Always(
                    integer("sinks", defaultAlways.sinks()),
                    integer("recent", defaultAlways.recent()),
                    integer("dense-layers", defaultAlways.denseLayers()),
                    integer("reuse-interval", defaultAlways.reuseInterval()));
        }

        String text(String key, String otherwise) {
            known.add(key);
            String value = values.remove(key);
            return value == null ? otherwise : value;
        }

        int integer(String key, int otherwise) {
            String value = text(key, null);
            try {
                return value == null ? otherwise : Integer.parseInt(value);
            } catch (NumberFormatException e) {
                throw new IllegalArgumentException(
                        method + " " + key + " must be a whole number, but is '" + value + "'");
            }
        }

        /** One for the method and what it is built on. */
        long seed() {
            if (seed == null) {
                String value = text("seed", "0");
                try {
                    seed = Long.parseLong(value);
                } catch (NumberFormatException e) {
                    throw new IllegalArgumentException(method + " seed must be a whole number, but is '" + value + "'");
                }
            }
            return seed;
        }

        /** @param otherwise may be {@code null} */
        Double number(String key, Double otherwise) {
            String value = text(key, null);
            try {
                return value == null ? otherwise : Double.valueOf(value);
            } catch (NumberFormatException e) {
                throw new IllegalArgumentException(method + " " + key + " must be a number, but is '" + value + "'");
            }
        }

        <E extends Enum<E>> E constant(String key, Class<E> type, E otherwise) {
            String value = text(key, null);
            try {
                return value == null ? otherwise : Enum.valueOf(type, value.toUpperCase(Locale.ROOT));
            } catch (IllegalArgumentException e) {
                throw new IllegalArgumentException(method + " " + key + " must be one of "
                        + Arrays.stream(type.getEnumConstants())
                                .map(constant -> constant.name().toLowerCase(Locale.ROOT))
                                .collect(Collectors.joining(", "))
                        + ", but is '" + value + "'");
            }
        }

        void requireAllRead() {
            if (!values.isEmpty()) {
                throw new IllegalArgumentException(method + " has no setting '"
                        + values.keySet().iterator().next() + "'; it has: "
                        + (known.isEmpty() ? "none" : String.join(", ", known)));
            }
        }
    }
}
