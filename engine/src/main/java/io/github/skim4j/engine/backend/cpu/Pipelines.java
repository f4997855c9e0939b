package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.attention.Always;
import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.attention.Budget;
import io.github.skim4j.engine.attention.DoubleSparsity;
import io.github.skim4j.engine.attention.Oracle;
import io.github.skim4j.engine.attention.PageSelector;
import io.github.skim4j.engine.attention.Quest;
import io.github.skim4j.engine.attention.RandomPages;
import io.github.skim4j.engine.attention.Sketch;
import io.github.skim4j.engine.attention.Twilight;
import io.github.skim4j.engine.attention.VAttention;
import io.github.skim4j.engine.backend.cpu.RankPages.Limit;
import io.github.skim4j.engine.model.LabelChannels;
import io.github.skim4j.engine.model.ModelConfig;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Makes the selection stages of methods, and keeps the page data that they share. */
final class Pipelines {

    /**
     * How a method selects.
     *
     * @param data what its stages read of pages beside the keys
     * @param rankings stages that are left out where a token reads the pages of one before it: the first ones
     */
    record Pipeline(Always always, List<PageData> data, List<Selection.Stage> stages, int rankings) {

        /** Whether the tile's sequence is long enough for the data; it is read whole if not. */
        boolean fits(QueryTile tile) {
            int pageSize = tile.sequence().pageSize();
            int full = tile.firstPosition() / pageSize * pageSize;
            return data.stream().allMatch(kind -> full >= kind.minTokens());
        }
    }

    private final ModelConfig config;
    private final CpuKernels kernels;
    private final KvPages pages;
    private final Attend attend;
    private final int pageCount;
    private final Map<PageStatistics.Kind, PageStatistics> statistics = new HashMap<>();
    private final LabelChannels labelChannels;
    private final Map<Integer, QuantizedKeys> labels = new HashMap<>();
    private QuantizedKeys quantized;
    private KeySketches sketches;

    /**
     * @param labelChannels those of the model, or {@code null}
     */
    Pipelines(ModelConfig config, CpuKernels kernels, KvPages pages, Attend attend, LabelChannels labelChannels) {
        this.labelChannels = labelChannels;
        this.config = config;
        this.kernels = kernels;
        this.pages = pages;
        this.attend = attend;
        pageCount = pages.count();
    }

    /** The method's stages; {@code null} if it selects nothing. */
    Pipeline of(AttentionMethod method) {
        List<PageData> data = new ArrayList<>();
        List<Selection.Stage> stages = new ArrayList<>();
        if (method instanceof PageSelector selector) {
            addRanking(selector, data, stages);
            return new Pipeline(selector.always(), data, stages, stages.size());
        }
        if (method instanceof Twilight twilight) {
            if (twilight.base() != null) {
                addRanking(twilight.base(), data, stages);
            }
            int rankings = stages.size();
            TokenScorer exact = new ExactScorer(kernels, pages);
            boolean isExact = twilight.logits() == Twilight.Logits.EXACT;
            stages.add(new TopP(twilight.p(), kernels.attention(), isExact ? exact : quantizedScorer(data), exact));
            return new Pipeline(twilight.always(), data, stages, rankings);
        }
        if (method instanceof VAttention vAttention) {
            addRanking(vAttention.heavy(), data, stages);
            int rankings = stages.size();
            stages.add(new Sample(vAttention, pages, attend, config.headDim()));
            return new Pipeline(vAttention.heavy().always(), data, stages, rankings);
        }
        return null;
    }

    private void addRanking(PageSelector selector, List<PageData> data, List<Selection.Stage> stages) {
        Limit budget = budget(selector.budget());
        if (selector instanceof Sketch sketch) {
            Limit coarse = selection ->
                    sketch.coarsePages(budget.pages(selection), selection.list().size());
            stages.add(new RankPages(sketchScorer(data), kernels, coarse));
            if (sketch.hasSecondLook()) {
                stages.add(new RankPages(quantizedScorer(data), kernels, budget));
            }
        } else {
            stages.add(new RankPages(scorer(selector, data), kernels, budget));
        }
        stages.add(Selection.KEEP);
    }

    private Limit budget(Budget budget) {
        return selection -> {
            int tokens = budget.tokens(selection.visibleTokens());
            // A window that begins within a page lies on one page more than its tokens fill.
            return tokens >= selection.visibleTokens()
                    ? selection.list().size()
                    : (tokens + pages.pageSize() - 1) / pages.pageSize();
        };
    }

    private PageScorer scorer(PageSelector selector, List<PageData> data) {
        if (selector instanceof Quest quest) {
            PageStatistics pageStatistics = statistics.computeIfAbsent(
                    new PageStatistics.Kind(quest.score(), quest.statistics()),
                    kind -> new PageStatistics(config, pageCount, pages.pageSize(), kind));
            data.add(pageStatistics);
            return new QuestScorer(config, kernels.selection(), pageStatistics);
        }
        if (selector instanceof Oracle) {
            return new ExactScorer(kernels, pages);
        }
        if (selector instanceof RandomPages random) {
            return new RandomScorer(random.seed());
        }
        DoubleSparsity doubleSparsity = (DoubleSparsity) selector;
        QuantizedKeys keys = labels.computeIfAbsent(
                doubleSparsity.channels(),
                channels -> new QuantizedKeys(config, pages.pageSize(), pageCount, labelChannels.first(channels)));
        data.add(keys);
        return new QuantizedScorer(kernels, keys, config.headDim(), pages.pageSize());
    }

    private TokenScorer quantizedScorer(List<PageData> data) {
        if (quantized == null) {
            quantized = new QuantizedKeys(config, pages.pageSize(), pageCount, null);
        }
        if (!data.contains(quantized)) {
            data.add(quantized);
        }
        return new QuantizedScorer(kernels, quantized, config.headDim(), pages.pageSize());
    }

    private PageScorer sketchScorer(List<PageData> data) {
        if (sketches == null) {
            sketches = new KeySketches(config, pages.pageSize(), pageCount);
        }
        data.add(sketches);
        return new SketchScorer(kernels, sketches, config.headDim(), pages.pageSize());
    }

    /** A page comes to another sequence. */
    void clear(int page) {
        statistics.values().forEach(data -> data.clear(page));
        labels.values().forEach(data -> data.clear(page));
        if (quantized != null) {
            quantized.clear(page);
        }
        if (sketches != null) {
            sketches.clear(page);
        }
    }

    /** Bytes that a method keeps of a page beside keys and values, all layers together. */
    static long bytes(
            AttentionMethod method,
            ModelConfig config,
            CpuKernels kernels,
            KvPages onePage,
            LabelChannels labelChannels) {
        Pipeline pipeline = new Pipelines(config, kernels, onePage, null, labelChannels).of(method);
        long bytes = 0;
        for (PageData data : pipeline == null ? List.<PageData>of() : pipeline.data()) {
            bytes += (long) data.bytes() * config.kvHeads() * config.layers();
        }
        return bytes;
    }
}
