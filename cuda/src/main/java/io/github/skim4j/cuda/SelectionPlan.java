package io.github.skim4j.cuda;

import io.github.skim4j.cuda.RowMethod.Rank;
import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.attention.Dense;
import io.github.skim4j.engine.backend.Span;
import io.github.skim4j.engine.model.ModelConfig;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/**
 * How the entries of a step select, layer by layer. Neighbouring layers in which every entry selects in the same way share an interval.
 * Entries of packed sequences have lists too where there is a sliding window, which hides others of each KV head's tokens.
 *
 * @param intervals in the order of their layers
 */
record SelectionPlan(List<Interval> intervals) {

    /**
     * {@code layers} from {@code from} on, and how each entry selects there; no method if all read everything.
     *
     * @param stages what that takes
     */
    record Interval(int from, int layers, List<RowMethod> methods, Stages stages) {

        boolean isListed() {
            return !methods.isEmpty();
        }
    }

    /**
     * The kernels that an interval needs, which make it another graph if they differ.
     *
     * @param first rankings of all pages
     * @param reuses whether lists go to slots, or come from them
     * @param hides whether tokens of packed sequences are hidden by their positions
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
            boolean reuses,
            boolean hides,
            int mostPages,
            int size,
            int secondSize) {

        private static Stages of(List<RowMethod> methods, boolean hides, int headDim) {
            Set<PageData> first = new LinkedHashSet<>();
            boolean second = false;
            boolean prunes = false;
            boolean samples = false;
            boolean verifiesNumerators = false;
            boolean reuses = false;
            int mostPages = 1;
            int ranked = 0;
            int rankedAgain = 0;
            for (RowMethod method : methods) {
                if (method.first() != Rank.NONE && method.first() != Rank.REUSED) {
                    first.add(new PageData(method.first(), method.channels(headDim)));
                }
                second |= method.second() != Rank.NONE;
                prunes |= method.prunes();
                samples |= method.sample() != null;
                verifiesNumerators |= method.verifiesNumerator();
                reuses |= method.kept() != 0;
                mostPages = Math.max(mostPages, method.mostPages());
                ranked = Math.max(ranked, method.ranked());
                rankedAgain = Math.max(rankedAgain, method.rankedAgain());
            }
            return new Stages(
                    first,
                    second,
                    prunes,
                    samples,
                    verifiesNumerators,
                    reuses,
                    hides,
                    mostPages > 1 << 30 ? Integer.MAX_VALUE : DecodeGraph.bucket(mostPages),
                    CudaSelection.size(ranked),
                    CudaSelection.size(rankedAgain));
        }

        boolean none() {
            return first.isEmpty() && !reuses && !prunes && !samples && !hides;
        }

        boolean masks() {
            return samples || hides;
        }
    }

    /** @param slots of the sequences whose selections serve several tokens */
    static SelectionPlan of(Step step, ModelConfig config, SelectionSlots slots) {
        BitSet borders = new BitSet();
        borders.set(0);
        for (Span span : step.spans()) {
            if (!(span.attention() instanceof Dense)) {
                borders.set(span.attention().denseLayers());
            }
        }
        if (config.slidingWindow() > 0) {
            borders.set(config.slidingWindowFrom());
        }
        borders.set(config.layers());
        SelectionSlots.Slot[] ofSpans = slots.of(step.spans());
        List<Interval> intervals = new ArrayList<>();
        for (int from = 0; from < config.layers(); ) {
            int end = borders.nextSetBit(from + 1);
            boolean hides = config.window(from) != Integer.MAX_VALUE && step.hasPacked();
            List<RowMethod> methods = methods(step, config, ofSpans, from, hides);
            intervals.add(new Interval(from, end - from, methods, Stages.of(methods, hides, config.headDim())));
            from = end;
        }
        return new SelectionPlan(intervals);
    }

    private static List<RowMethod> methods(
            Step step, ModelConfig config, SelectionSlots.Slot[] slots, int layer, boolean hides) {
        List<RowMethod> methods = new ArrayList<>();
        boolean isListed = hides;
        for (int s = 0; s < slots.length; s++) {
            Span span = step.spans().get(s);
            SelectionSlots.Slot slot = slots[s];
            for (int i = 0; i < span.count() && !Step.isChunk(span); i++) {
                int position = span.sequence().length() + i;
                RowMethod method = slot == null
                        ? method(span, position, config, layer)
                        : methodOf(slot, span, position, config, layer);
                methods.add(method);
                isListed |= !method.isDense();
            }
        }
        return isListed ? methods : List.of();
    }

    private static RowMethod method(Span span, int position, ModelConfig config, int layer) {
        AttentionMethod method = span.attention();
        int pageSize = span.sequence().pageSize();
        int wholeTokens = position / pageSize * pageSize;
        if (method instanceof Dense || layer < method.denseLayers() || wholeTokens < PageData.minTokens(method)) {
            return RowMethod.DENSE;
        }
        int visible = Math.min(position + 1, config.window(layer));
        int pages = visiblePages(position, pageSize, config.window(layer));
        RowMethod row = RowMethod.of(method, visible, pages, pageSize);
        // Without lists the same bits take fewer kernels.
        return row.keepsAll(pages) ? RowMethod.DENSE : row;
    }

    private static int visiblePages(int position, int pageSize, int window) {
        return position / pageSize + 1 - Math.max(0, position + 1 - window) / pageSize;
    }

    /** The method of a token whose selection is a slot's, or becomes it. */
    private static RowMethod methodOf(
            SelectionSlots.Slot slot, Span span, int position, ModelConfig config, int layer) {
        int selected = slot.token().position();
        int pageSize = span.sequence().pageSize();
        RowMethod method = method(span, selected, config, layer);
        int pages = visiblePages(selected, pageSize, config.window(layer));
        int listed = method.listed(selected, pages, pageSize);
        if (listed == pages) {
            // There all were read, and nothing was ranked that could be read again.
            return selected == position ? method : method(span, position, config, layer);
        }
        return selected == position
                ? method.keptIn(slot.index())
                : method.reusedFrom(slot.index(), listed + position / pageSize - selected / pageSize);
    }

    /** Number of the interval of a layer. */
    int interval(int layer) {
        int interval = intervals.size() - 1;
        while (intervals.get(interval).from > layer) {
            interval--;
        }
        return interval;
    }

    /** Where each interval begins and what it needs: steps of the same make can share a graph. */
    List<Object> shape() {
        List<Object> shape = new ArrayList<>();
        for (Interval interval : intervals) {
            shape.add(interval.from);
            shape.add(interval.stages);
        }
        return shape;
    }

    /** Whether there are lists in any layer. */
    boolean lists() {
        for (Interval interval : intervals) {
            if (interval.isListed()) {
                return true;
            }
        }
        return false;
    }
}
