package io.github.skim4j.cuda;

import io.github.skim4j.cuda.RowMethod.Rank;
import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.attention.Dense;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.model.ModelConfig;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/**
 * How the entries of a step select, layer by layer. Neighbouring layers in which every entry selects in the same way share an interval.
 * Entries of packed sequences have lists too where there is a sliding window, which hides others of each KV head's tokens.
 *
 * @param intervals in the order of their layers
 */
record SelectionPlan(List<Interval> intervals) {

    static final SelectionPlan DENSE = new SelectionPlan(List.of(new Interval(0, List.of(), false)));

    /**
     * Layers from {@code from} on, and how each entry selects there; no method if all read everything.
     *
     * @param hides whether tokens of packed sequences are hidden by their positions
     */
    record Interval(int from, List<RowMethod> methods, boolean hides) {}

    /**
     * The kernels that an interval needs, which make it another graph if they differ.
     *
     * @param first rankings of all pages
     * @param mostPages that a list has at most: a power of two, so that growing lists seldom make another graph, or
     *     {@link Integer#MAX_VALUE}
     * @param size of the kernel for the longest list that is cut, see {@link CudaSelection#size}
     * @param secondSize the same where lists are cut again
     */
    record Stages(
            Set<PageData> first,
            boolean second,
            boolean prunes,
            boolean samples,
            boolean verifiesNumerators,
            boolean hides,
            int mostPages,
            int size,
            int secondSize) {

        boolean none() {
            return first.isEmpty() && !prunes && !samples && !hides;
        }

        boolean masks() {
            return samples || hides;
        }
    }

    static SelectionPlan of(Step step, ModelConfig config) {
        if (step.isDense() && !step.hasPacked()) {
            return DENSE;
        }
        TreeSet<Integer> borders = new TreeSet<>(Set.of(0));
        for (Span span : step.spans()) {
            if (!(span.attention() instanceof Dense)) {
                borders.add(span.attention().denseLayers());
            }
        }
        if (config.slidingWindow() > 0) {
            borders.add(config.slidingWindowFrom());
        }
        List<Interval> intervals = new ArrayList<>();
        for (int layer : borders) {
            if (layer < config.layers()) {
                boolean hides = config.window(layer) != Integer.MAX_VALUE && step.hasPacked();
                intervals.add(new Interval(layer, methods(step, config, layer, hides), hides));
            }
        }
        return new SelectionPlan(List.copyOf(intervals));
    }

    private static List<RowMethod> methods(Step step, ModelConfig config, int layer, boolean hides) {
        List<RowMethod> methods = new ArrayList<>();
        for (Span span : step.spans()) {
            for (int i = 0; i < span.count() && !Step.isChunk(span); i++) {
                methods.add(method(span, span.sequence().length() + i, config, layer));
            }
        }
        return !hides && methods.stream().allMatch(RowMethod::isDense) ? List.of() : List.copyOf(methods);
    }

    private static RowMethod method(Span span, int position, ModelConfig config, int layer) {
        AttentionMethod method = span.attention();
        int pageSize = span.sequence().pageSize();
        int wholeTokens = position / pageSize * pageSize;
        boolean fits = PageData.of(method, config.headDim()).stream().allMatch(kind -> wholeTokens >= kind.minTokens());
        if (method instanceof Dense || layer < method.denseLayers() || !fits) {
            return RowMethod.DENSE;
        }
        int visible = Math.min(position + 1, config.window(layer));
        int pages = position / pageSize + 1 - (position + 1 - visible) / pageSize;
        RowMethod row = RowMethod.of(method, visible, pages, pageSize);
        // Without lists the same bits take fewer kernels.
        return row.keepsAll(pages) ? RowMethod.DENSE : row;
    }

    /** Number of the interval of a layer. */
    int interval(int layer) {
        int interval = intervals.size() - 1;
        while (intervals.get(interval).from > layer) {
            interval--;
        }
        return interval;
    }

    /** Whether the entries' lists are made in a layer. */
    boolean isListed(int layer) {
        return !intervals.get(interval(layer)).methods.isEmpty();
    }

    /** Whether there are lists in any layer. */
    boolean lists() {
        return intervals.stream().anyMatch(interval -> !interval.methods.isEmpty());
    }

    /** How an entry selects in a layer whose lists are made. */
    RowMethod method(int layer, int entry) {
        return intervals.get(interval(layer)).methods.get(entry);
    }

    /** Where each interval begins and what it needs: steps of the same make can share a graph. */
    List<Object> shape(int headDim) {
        List<Object> shape = new ArrayList<>();
        for (int i = 0; i < intervals.size(); i++) {
            shape.add(intervals.get(i).from);
            shape.add(stages(i, headDim));
        }
        return shape;
    }

    Stages stages(int interval, int headDim) {
        List<RowMethod> methods = intervals.get(interval).methods;
        Set<PageData> first = new LinkedHashSet<>();
        for (RowMethod method : methods) {
            if (method.first() != Rank.NONE) {
                first.add(new PageData(method.first(), method.channels(headDim)));
            }
        }
        int mostPages = methods.stream().mapToInt(RowMethod::mostPages).max().orElse(0);
        return new Stages(
                first,
                methods.stream().anyMatch(method -> method.second() != Rank.NONE),
                methods.stream().anyMatch(RowMethod::prunes),
                methods.stream().anyMatch(method -> method.sample() != null),
                methods.stream().anyMatch(RowMethod::verifiesNumerator),
                intervals.get(interval).hides,
                mostPages > 1 << 30 ? Integer.MAX_VALUE : DecodeGraph.bucket(Math.max(1, mostPages)),
                CudaSelection.size(
                        methods.stream().mapToInt(RowMethod::ranked).max().orElse(0)),
                CudaSelection.size(
                        methods.stream().mapToInt(RowMethod::rankedAgain).max().orElse(0)));
    }
}
