package io.github.skim4j.engine.model;

import com.fasterxml.jackson.core.type.TypeReference;
import io.github.skim4j.engine.attention.AttentionMethod;
import io.github.skim4j.engine.attention.DoubleSparsity;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Comparator;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * The dimensions of a model's keys in the order in which they matter to attention, found by calibration (Double Sparsity, arXiv 2408.07092,
 * section 3.1) and stored as JSON beside the model.
 *
 * @param ranking [layer][kvHead][headDim]: dimensions, the one that matters most first
 */
public record LabelChannels(int[][][] ranking) {

    private static final String FILE = "label-channels.json";

    /** Behind the name of a model's file. */
    static final String SUFFIX = "." + FILE;

    private static final String FIELD = "label_channels";

    /**
     * Checks that a method can be used with a model.
     *
     * @param channels those of the model, or {@code null}
     * @throws IllegalArgumentException if it needs label channels and the model has none or too few, with the way out
     */
    public static void requireFor(AttentionMethod method, ModelConfig config, LabelChannels channels) {
        if (!(method.selector() instanceof DoubleSparsity doubleSparsity)) {
            return;
        }
        if (channels == null) {
            throw new IllegalArgumentException(
                    "double-sparsity needs to know which channels of the model's keys matter:"
                            + " 'skim calibrate' finds out and stores it beside the model");
        }
        if (doubleSparsity.channels() > config.headDim()) {
            throw new IllegalArgumentException("double-sparsity channels must be at most the head size of "
                    + config.headDim() + ", but is " + doubleSparsity.channels());
        }
    }

    /** @param weights [layer][kvHead][headDim], the higher the more a dimension matters */
    public static LabelChannels ofWeights(float[][][] weights) {
        return new LabelChannels(Arrays.stream(weights)
                .map(layer -> Arrays.stream(layer).map(LabelChannels::rank).toArray(int[][]::new))
                .toArray(int[][][]::new));
    }

    private static int[] rank(float[] weights) {
        return IntStream.range(0, weights.length)
                .boxed()
                .sorted(Comparator.comparingDouble(i -> -weights[i]))
                .mapToInt(Integer::intValue)
                .toArray();
    }

    /** Where those of a model lie: in its directory, or beside its file. */
    public static Path fileOf(Path model) {
        return Files.isDirectory(model) ? model.resolve(FILE) : model.resolveSibling(model.getFileName() + SUFFIX);
    }

    /** The {@code count} dimensions that matter most, [layer][kvHead][count], in the order of their numbers. */
    public int[][][] first(int count) {
        return Arrays.stream(ranking)
                .map(layer -> Arrays.stream(layer)
                        .map(head -> Arrays.stream(head, 0, count).sorted().toArray())
                        .toArray(int[][]::new))
                .toArray(int[][][]::new);
    }

    public void write(Path file) throws IOException {
        Files.write(file, Json.MAPPER.writeValueAsBytes(Map.of(FIELD, ranking)));
    }

    /**
     * Those of a model, or {@code null} if it was not calibrated.
     *
     * @throws ModelFormatException naming the file, if it is damaged or of another model
     */
    static LabelChannels readIfThere(Path model, ModelConfig config) {
        Path file = fileOf(model);
        if (!Files.isRegularFile(file)) {
            return null;
        }
        Object value = Json.read(file).raw(FIELD);
        int[][][] ranking;
        try {
            ranking = Json.MAPPER.convertValue(value, new TypeReference<int[][][]>() {});
        } catch (IllegalArgumentException e) {
            throw new ModelFormatException(file + ": " + FIELD + " must be [layer][kvHead][dimension]", e);
        }
        if (ranking == null || !fits(ranking, config)) {
            throw new ModelFormatException(file + ": " + FIELD + " must rank the " + config.headDim()
                    + " dimensions of each of " + config.layers() + " layers and " + config.kvHeads()
                    + " KV heads; calibrate the model again");
        }
        return new LabelChannels(ranking);
    }

    private static boolean fits(int[][][] ranking, ModelConfig config) {
        int[] dimensions = IntStream.range(0, config.headDim()).toArray();
        return ranking.length == config.layers()
                && Arrays.stream(ranking)
                        .allMatch(layer -> layer != null
                                && layer.length == config.kvHeads()
                                && Arrays.stream(layer)
                                        .allMatch(head -> head != null
                                                && Arrays.equals(
                                                        Arrays.stream(head)
                                                                .sorted()
                                                                .toArray(),
                                                        dimensions)));
    }
}
