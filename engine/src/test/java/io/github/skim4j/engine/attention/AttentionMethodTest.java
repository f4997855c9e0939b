package io.github.skim4j.engine.attention;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class AttentionMethodTest {

    @Test
    void readsMethods() {
        assertThat(AttentionMethod.parse("dense")).isEqualTo(new Dense());
        assertThat(AttentionMethod.parse("streaming-llm:budget=1024"))
                .isEqualTo(new StreamingLlm(Budget.ofTokens(1024), StreamingLlm.DEFAULT_SINKS));
        assertThat(AttentionMethod.parse("streaming-llm: budget = 12.5% , sinks = 8"))
                .isEqualTo(new StreamingLlm(Budget.ofShare(0.125), 8));
    }

    private static Budget budget(Random random) {
        return random.nextBoolean()
                ? Budget.ofTokens(100 + random.nextInt(100_000))
                : Budget.ofShare((1 + random.nextInt(1000)) / 1000.0);
    }

    private static Always always(Random random) {
        return new Always(random.nextInt(200), random.nextInt(200), random.nextInt(5), 1 + random.nextInt(9));
    }

    private static PageSelector selector(Random random) {
        Budget budget = budget(random);
        Always always = always(random);
        return switch (random.nextInt(5)) {
            case 0 ->
                new Quest(
                        budget,
                        Quest.Score.values()[random.nextInt(2)],
                        Quest.Statistics.values()[random.nextInt(2)],
                        always);
            case 1 -> new Sketch(budget, random.nextBoolean() ? null : (1 + random.nextInt(100)) / 100.0, always);
            case 2 -> new DoubleSparsity(budget, 8 * (1 + random.nextInt(8)), always);
            case 3 -> new Oracle(budget, always);
            default -> new RandomPages(budget, random.nextLong(), always);
        };
    }

    private static List<AttentionMethod> oneOfEach(Random random) {
        List<AttentionMethod> methods = new ArrayList<>();
        methods.add(new Dense());
        methods.add(new StreamingLlm(budget(random), random.nextInt(100)));
        methods.add(new H2o(budget(random), random.nextDouble()));
        methods.add(new Tova(budget(random)));
        methods.add(new SnapKv(budget(random), 1 + random.nextInt(99), 1 + 2 * random.nextInt(5)));
        methods.add(selector(random));
        Twilight.Logits logits = Twilight.Logits.values()[random.nextInt(2)];
        Always unranked = new Always(random.nextInt(200), random.nextInt(200), random.nextInt(5));
        methods.add(new Twilight(null, 1 - random.nextDouble(), logits, unranked));
        PageSelector base = selector(random);
        methods.add(new Twilight(base, 1 - random.nextDouble(), logits, base.always()));
        PageSelector heavy = selector(random);
        methods.add(new VAttention(
                heavy,
                0.001 + 0.9 * random.nextDouble(),
                0.001 + 0.9 * random.nextDouble(),
                VAttention.Verify.values()[random.nextInt(3)],
                1 - random.nextDouble(),
                heavy instanceof RandomPages pages ? pages.seed() : random.nextLong()));
        return methods;
    }

    @RepeatedTest(50)
    void readsBackWhatAMethodSaysOfItself() {
        long seed = System.nanoTime();
        for (AttentionMethod method : oneOfEach(new Random(seed))) {
            AttentionMethod parsed = AttentionMethod.parse(method.spec());
            assertThat(parsed).as("seed %s, %s", seed, method.spec()).isEqualTo(method);
            assertThat(parsed.spec()).isEqualTo(method.spec());
        }
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "quest:budget=1024 | quest:budget=1024,score=moments,statistics=bf16,sinks=4,recent=16,dense-layers=2",
                "sketch:budget=3%,coarse=0.125 | sketch:budget=3%,coarse=0.125,sinks=4,recent=16,dense-layers=2",
                "sketch:budget=3%,coarse=0 | sketch:budget=3%,coarse=0.0,sinks=4,recent=16,dense-layers=2",
                "sketch:budget=3% | sketch:budget=3%,sinks=4,recent=16,dense-layers=2",
                "oracle:budget=512,reuse-interval=1 | oracle:budget=512,sinks=4,recent=16,dense-layers=2",
                "oracle:budget=512,recent=0 | oracle:budget=512,sinks=4,recent=0,dense-layers=2",
                "h2o:budget=512 | h2o:budget=512,recent=0.5",
                "snapkv:budget=512 | snapkv:budget=512,window=64,kernel=7",
                "twilight | twilight:p=0.95,logits=int4,base=sketch,budget=25%,sinks=4,recent=16,dense-layers=2",
                "twilight:base=dense,p=0.9 | twilight:p=0.9,logits=int4,base=dense,sinks=4,recent=16,dense-layers=2",
            })
    void fillsInDefaults(String spec, String whole) {
        assertThat(AttentionMethod.parse(spec).spec()).isEqualTo(whole);
    }

    @Test
    void vAttentionHasDefaultsOfItsOwn() {
        VAttention method = (VAttention) AttentionMethod.parse("vattention");
        assertThat(method.heavy()).isInstanceOf(Sketch.class);
        assertThat(method.heavy().budget()).isEqualTo(VAttention.DEFAULT_BUDGET);
        assertThat(method.heavy().always()).isEqualTo(VAttention.DEFAULT_ALWAYS);
        assertThat(method.epsilon()).isEqualTo(VAttention.DEFAULT_EPSILON);
        assertThat(method.verify()).isEqualTo(VAttention.Verify.DENOMINATOR);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "streaming-llm | needs a budget",
                "streaming-llm:budget=0 | above 0",
                "streaming-llm:budget=-5 | above 0",
                "streaming-llm:budget=101% | at most 100 %",
                "streaming-llm:budget=many | 'many'",
                "streaming-llm:budget=4 | above its 4 sinks",
                "streaming-llm:budget=64,sinks=-1 | 0 or more",
                "streaming-llm:budget=64,sinks=x | whole number",
                "streaming-llm:budget=64,sink=4 | no setting 'sink'",
                "streaming-llm:budget | key=value",
                "dense:budget=64 | no setting 'budget'; it has: none",
                "quest:budget=64,budget=128 | quest has 'budget' twice, as '64' and '128'",
                "quest | quest needs a budget, such as quest:budget=1024",
                "sketch | needs a budget",
                "double-sparsity | needs a budget",
                "h2o | needs a budget",
                "tova | needs a budget",
                "snapkv | needs a budget",
                "oracle | needs a budget",
                "random | needs a budget",
                "quest:budget=12.5 | '12.5'",
                "quest:budget=0% | above 0 %",
                "quest:budget=NaN% | 'NaN%'",
                "quest:budget=0x1p-3% | '0x1p-3%'",
                "quest:budget=99999999999 | '99999999999'",
                "quest:budget=64,score=best | quest score must be one of bounds, moments, but is 'best'",
                "quest:budget=64,statistics=int8 | quest statistics must be one of bf16, fp8, but is 'int8'",
                "quest:budget=64,sinks=-1 | sinks must be 0 or more, but is -1",
                "quest:budget=64,recent=-2 | recent must be 0 or more, but is -2",
                "quest:budget=64,dense-layers=-3 | dense-layers must be 0 or more, but is -3",
                "quest:budget=64,reuse-interval=0 | reuse-interval must be 1 or more, but is 0",
                "twilight:base=dense,reuse-interval=2 | twilight on dense ranks no pages that could be read again: drop reuse-interval",
                "quest:budget=64,sinks=1.5 | quest sinks must be a whole number, but is '1.5'",
                "quest:budget=64,p=0.9 | quest has no setting 'p'; it has: budget, score, statistics, sinks, recent, dense-layers, reuse-interval",
                "quest:=64 | expected key=value in the settings of quest, but got '=64'",
                "sketch:budget=64,coarse=-0.1 | sketch coarse must be between 0 and 1, but is -0.1",
                "sketch:budget=64,coarse=1.01 | sketch coarse must be between 0 and 1, but is 1.01",
                "sketch:budget=64,coarse=NaN | sketch coarse must be between 0 and 1, but is NaN",
                "sketch:budget=64,coarse=some | sketch coarse must be a number, but is 'some'",
                "double-sparsity:budget=64,channels=12 | channels must be a multiple of 8 above 0, but is 12",
                "double-sparsity:budget=64,channels=0 | channels must be a multiple of 8 above 0, but is 0",
                "h2o:budget=64,recent=1.5 | h2o recent must be between 0 and 1, but is 1.5",
                "snapkv:budget=64,window=0 | snapkv window must be 1 or more, but is 0",
                "snapkv:budget=512,kernel=4 | snapkv kernel must be an odd number above 0, but is 4",
                "snapkv:budget=512,kernel=-1 | snapkv kernel must be an odd number above 0, but is -1",
                "snapkv:budget=64 | snapkv budget must be above its window of 64, but is 64",
                "tova:budget=64,window=2 | tova has no setting 'window'; it has: budget",
                "twilight:p=0 | twilight p must be above 0 and at most 1, but is 0.0",
                "twilight:p=2 | twilight p must be above 0 and at most 1, but is 2.0",
                "twilight:logits=int8 | twilight logits must be one of int4, exact, but is 'int8'",
                "twilight:base=h2o | twilight base must be one of double-sparsity, oracle, quest, random, sketch or dense, but is 'h2o'",
                "twilight:base=dense,budget=64 | twilight has no setting 'budget'",
                "twilight:base=quest,coarse=0.5 | twilight has no setting 'coarse'",
                "vattention:base=dense | vattention base must be one of double-sparsity, oracle, quest, random, sketch, but is 'dense'",
                "vattention:epsilon=0 | vattention epsilon must be above 0 and below 1, but is 0.0",
                "vattention:delta=1 | vattention delta must be above 0 and below 1, but is 1.0",
                "vattention:epsilon=NaN | vattention epsilon must be above 0 and below 1, but is NaN",
                "vattention:verify=output | vattention verify must be one of denominator, numerator, both, but is 'output'",
                "vattention:pilot=0 | vattention pilot must be above 0 and at most 1, but is 0.0",
                "vattention:seed=x | vattention seed must be a whole number, but is 'x'",
                "random:budget=64,seed=0.5 | random seed must be a whole number, but is '0.5'",
            })
    void saysWhatIsWrong(String spec, String message) {
        assertThatThrownBy(() -> AttentionMethod.parse(spec))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining(message);
    }

    @Test
    void twilightAndItsBaseAlwaysReadTheSame() {
        Oracle base = new Oracle(Budget.ofTokens(100), new Always(1, 2, 3));
        assertThatThrownBy(() -> new Twilight(base, 0.9, Twilight.Logits.INT4, Always.DEFAULT))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("must always read the same");
    }

    @Test
    void aSampleAndRandomPagesHaveOneSeed() {
        RandomPages heavy = new RandomPages(Budget.ofTokens(100), 1, Always.DEFAULT);
        assertThatThrownBy(() -> new VAttention(heavy, 0.1, 0.1, VAttention.Verify.BOTH, 0.1, 2))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("must have the same seed");
        VAttention parsed = (VAttention) AttentionMethod.parse("vattention:base=random,seed=7");
        assertThat(((RandomPages) parsed.heavy()).seed()).isEqualTo(7);
    }

    @Test
    void listsAllMethods() {
        assertThatThrownBy(() -> AttentionMethod.parse("Quest:budget=64"))
                .isInstanceOf(UnknownAttentionMethodException.class)
                .hasMessage(
                        "no attention method is called 'Quest'; there are: dense, quest, sketch, double-sparsity, twilight,"
                                + " vattention, streaming-llm, h2o, tova, snapkv, oracle, random");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "quest:recent=64,budget=%d",
                "twilight:base=oracle,recent=64,budget=%d",
                "vattention:sinks=4,recent=64,budget=%d"
            })
    void aBudgetHasRoomForWhatIsAlwaysReadAndAPage(String spec) {
        AttentionMethod least = AttentionMethod.parse(spec.formatted(4 + 64 + 16));
        least.requireFits(16);
        assertThatThrownBy(() -> least.requireFits(32))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining(
                        "budget must be at least 100 tokens (4 sinks, 64 recent ones and a page of 32), but is 84")
                .hasMessageContaining("raise attention.budget");
        assertThatThrownBy(() -> AttentionMethod.parse(spec.formatted(83)).requireFits(16))
                .isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void aShareFitsPagesOfEverySize() {
        AttentionMethod.parse("sketch:budget=1%").requireFits(64);
        AttentionMethod.parse("twilight:base=dense").requireFits(64);
    }

    @Test
    void aShareIsRoundedUp() {
        assertThat(Budget.parse("1.5%").tokens(1000)).isEqualTo(15);
        assertThat(Budget.parse("1.5%").tokens(1001)).isEqualTo(16);
        assertThat(Budget.parse("100%").tokens(4099)).isEqualTo(4099);
    }
}
