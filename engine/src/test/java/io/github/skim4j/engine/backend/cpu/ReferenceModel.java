package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.attention.EvictionMethod;
import io.github.skim4j.engine.attention.H2o;
import io.github.skim4j.engine.attention.SnapKv;
import io.github.skim4j.engine.attention.Tova;
import io.github.skim4j.engine.model.ModelConfig;
import io.github.skim4j.engine.model.ModelWeights;
import io.github.skim4j.engine.model.Tensor;
import io.github.skim4j.engine.model.TensorRole;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.IntStream;

/**
 * The model as plainly as it can be written, in double: one token at a time, all keys and values kept, keys unrotated and rotated anew
 * at each step.
 */
final class ReferenceModel {

    private final ModelConfig config;
    private final List<Map<TensorRole, double[]>> layers = new ArrayList<>();
    private final Map<TensorRole, double[]> others = new EnumMap<>(TensorRole.class);
    private final Rotary rotary;

    /** @param values the floats that a tensor stands for */
    ReferenceModel(ModelWeights weights, Function<Tensor, float[]> values) {
        config = weights.config();
        rotary = new Rotary(config.rope(), config.headDim());
        for (TensorRole role : TensorRole.values()) {
            if (!role.perLayer() && weights.find(role, 0) != null) {
                others.put(role, doubles(values.apply(weights.find(role, 0))));
            }
        }
        for (int i = 0; i < config.layers(); i++) {
            Map<TensorRole, double[]> layer = new EnumMap<>(TensorRole.class);
            for (TensorRole role : TensorRole.values()) {
                if (role.perLayer() && weights.find(role, i) != null) {
                    layer.put(role, doubles(values.apply(weights.find(role, i))));
                }
            }
            layers.add(layer);
        }
    }

    ReferenceModel(ModelWeights weights) {
        this(weights, Tensor::toFloats);
    }

    private static double[] doubles(float[] values) {
        double[] result = new double[values.length];
        for (int i = 0; i < values.length; i++) {
            result[i] = values[i];
        }
        return result;
    }

    /** One sequence's keys and values. */
    final class Sequence {

        /** [layer][token][kvHeads * headDim] */
        private final List<List<double[]>> keys = new ArrayList<>();

        private final List<List<double[]>> values = new ArrayList<>();
        private final List<Boolean> kept = new ArrayList<>();

        /** [layer * kvHeads + kvHead]: positions that one KV head alone forgot. */
        private final List<BitSet> dropped = new ArrayList<>();

        /** [layer * heads + head][query][position]: shares of the attention. */
        private final List<List<double[]>> shares = new ArrayList<>();

        Sequence() {
            for (int i = 0; i < config.layers(); i++) {
                keys.add(new ArrayList<>());
                values.add(new ArrayList<>());
                for (int h = 0; h < config.kvHeads(); h++) {
                    dropped.add(new BitSet());
                }
                for (int h = 0; h < config.heads(); h++) {
                    shares.add(new ArrayList<>());
                }
            }
        }

        /** Lets each KV head keep {@code keep} tokens, by what a method makes of the attention so far; they stay at their positions. */
        void evict(EvictionMethod method, int keep) {
            int length = kept.size();
            for (int i = 0; i < config.layers(); i++) {
                int layer = i;
                for (int h = 0; h < config.kvHeads(); h++) {
                    double[] scores = scores(method, i, h, length);
                    int recent = method instanceof H2o h2o
                            ? (int) (h2o.recent() * keep)
                            : method instanceof SnapKv snapKv ? snapKv.window() : 0;
                    BitSet forgotten = dropped.get(i * config.kvHeads() + h);
                    IntStream.range(0, length)
                            .filter(p -> !forgotten.get(p))
                            .boxed()
                            .sorted(Comparator.<Integer, Boolean>comparing(p -> p > length - config.window(layer))
                                    .thenComparing(p -> p >= length - recent)
                                    .thenComparing(p -> scores[p])
                                    .thenComparing(p -> p)
                                    .reversed())
                            .skip(keep)
                            .toList()
                            .forEach(forgotten::set);
                }
            }
        }

        private double[] scores(EvictionMethod method, int layer, int kvHead, int length) {
            boolean allHeads = method instanceof Tova;
            double[] scores = new double[length];
            for (int h = 0; h < config.heads(); h++) {
                if (allHeads || h / config.group() == kvHead) {
                    for (int q = Math.max(0, length - method.observedQueries()); q < length; q++) {
                        double[] of = shares.get(layer * config.heads() + h).get(q);
                        for (int p = 0; p < of.length; p++) {
                            scores[p] += of[p];
                        }
                    }
                }
            }
            if (!(method instanceof SnapKv snapKv)) {
                return scores;
            }
            double[] pooled = new double[length];
            for (int p = 0; p < length - snapKv.window(); p++) {
                for (int n = p - snapKv.kernel() / 2; n <= p + snapKv.kernel() / 2; n++) {
                    pooled[p] += n < 0 || n >= length - snapKv.window() ? 0 : scores[n];
                }
            }
            return pooled;
        }

        /** Forgets tokens {@code from} to {@code end} for good; those left close up. */
        void evict(int from, int end) {
            for (int i = from; i < end; i++) {
                kept.set(i, false);
            }
        }

        /** Logits after {@code tokens}, one row each, computed as one step. */
        double[][] forward(int... tokens) {
            double[][] logits = new double[tokens.length][];
            for (int i = 0; i < tokens.length; i++) {
                logits[i] = next(tokens[i]);
            }
            return logits;
        }

        private double[] next(int token) {
            int self = kept.size();
            kept.add(true);
            double[] x = slice(others.get(TensorRole.TOKEN_EMBEDDING), token, config.hiddenSize());
            for (int i = 0; i < config.layers(); i++) {
                Map<TensorRole, double[]> layer = layers.get(i);
                double[] h = norm(x, layer.get(TensorRole.ATTENTION_NORM));
                double[] q = headNorm(
                        linear(layer, TensorRole.QUERY, TensorRole.QUERY_BIAS, h), layer.get(TensorRole.QUERY_NORM));
                double[] k =
                        headNorm(linear(layer, TensorRole.KEY, TensorRole.KEY_BIAS, h), layer.get(TensorRole.KEY_NORM));
                keys.get(i).add(k);
                values.get(i).add(linear(layer, TensorRole.VALUE, TensorRole.VALUE_BIAS, h));
                double[] a = attend(i, q, self);
                add(x, linear(layer, TensorRole.ATTENTION_OUTPUT, TensorRole.ATTENTION_OUTPUT_BIAS, a));
                h = norm(x, layer.get(TensorRole.FFN_NORM));
                double[] gate = linear(layer, TensorRole.GATE, TensorRole.GATE_BIAS, h);
                double[] up = linear(layer, TensorRole.UP, TensorRole.UP_BIAS, h);
                for (int j = 0; j < gate.length; j++) {
                    gate[j] = gate[j] / (1 + Math.exp(-gate[j])) * up[j];
                }
                add(x, linear(layer, TensorRole.DOWN, TensorRole.DOWN_BIAS, gate));
            }
            TensorRole output = config.tiedEmbeddings() ? TensorRole.TOKEN_EMBEDDING : TensorRole.OUTPUT;
            return multiply(others.get(output), norm(x, others.get(TensorRole.OUTPUT_NORM)));
        }

        private double[] attend(int layer, double[] q, int self) {
            int d = config.headDim();
            int[] places = new int[self + 1];
            for (int i = 1; i <= self; i++) {
                places[i] = places[i - 1] + (kept.get(i - 1) ? 1 : 0);
            }
            int place = places[self];
            double[] result = new double[config.heads() * d];
            for (int h = 0; h < config.heads(); h++) {
                int kvHead = h / config.group();
                BitSet forgotten = dropped.get(layer * config.kvHeads() + kvHead);
                List<Integer> read = IntStream.rangeClosed(0, self)
                        .filter(i -> kept.get(i) && !forgotten.get(i))
                        .boxed()
                        .toList();
                double[] rotated = rotate(q, h * d, place, self + 1);
                double[] scores = new double[read.size()];
                double max = Double.NEGATIVE_INFINITY;
                for (int j = 0; j < scores.length; j++) {
                    int token = read.get(j);
                    if (place - places[token] >= config.window(layer)) {
                        scores[j] = Double.NEGATIVE_INFINITY;
                        continue;
                    }
                    double[] k = rotate(keys.get(layer).get(token), kvHead * d, places[token], token + 1);
                    for (int c = 0; c < d; c++) {
                        scores[j] += rotated[c] * k[c] / Math.sqrt(d);
                    }
                    max = Math.max(max, scores[j]);
                }
                double sum = 0;
                for (int j = 0; j < scores.length; j++) {
                    scores[j] = Math.exp(scores[j] - max);
                    sum += scores[j];
                }
                double[] shared = new double[self + 1];
                shares.get(layer * config.heads() + h).add(shared);
                for (int j = 0; j < scores.length; j++) {
                    shared[read.get(j)] = scores[j] / sum;
                    double[] v = values.get(layer).get(read.get(j));
                    for (int c = 0; c < d; c++) {
                        result[h * d + c] += scores[j] / sum * v[kvHead * d + c];
                    }
                }
            }
            return result;
        }
    }

    /** @param length of the sequence up to the token, which dynamic RoPE scaling looks at */
    private double[] rotate(double[] heads, int from, int position, int length) {
        int d = config.headDim();
        float[] cos = new float[d / 2];
        float[] sin = new float[d / 2];
        rotary.angles(rotary.frequenciesFor(length), position, cos, sin, 0);
        double[] result = new double[d];
        for (int i = 0; i < d / 2; i++) {
            int a = config.rope().interleaved() ? 2 * i : i;
            int b = config.rope().interleaved() ? 2 * i + 1 : i + d / 2;
            result[a] = heads[from + a] * cos[i] - heads[from + b] * sin[i];
            result[b] = heads[from + b] * cos[i] + heads[from + a] * sin[i];
        }
        return result;
    }

    private double[] headNorm(double[] heads, double[] weight) {
        if (weight == null) {
            return heads;
        }
        int d = config.headDim();
        double[] result = new double[heads.length];
        for (int h = 0; h < heads.length / d; h++) {
            System.arraycopy(norm(slice(heads, h, d), weight), 0, result, h * d, d);
        }
        return result;
    }

    private double[] norm(double[] x, double[] weight) {
        double squares = 0;
        for (double value : x) {
            squares += value * value;
        }
        double scale = 1 / Math.sqrt(squares / x.length + config.rmsNormEps());
        double[] result = new double[x.length];
        for (int i = 0; i < x.length; i++) {
            result[i] = x[i] * scale * weight[i];
        }
        return result;
    }

    private static double[] linear(Map<TensorRole, double[]> layer, TensorRole matrix, TensorRole bias, double[] x) {
        double[] result = multiply(layer.get(matrix), x);
        if (layer.get(bias) != null) {
            add(result, layer.get(bias));
        }
        return result;
    }

    private static double[] multiply(double[] matrix, double[] x) {
        double[] result = new double[matrix.length / x.length];
        for (int r = 0; r < result.length; r++) {
            for (int k = 0; k < x.length; k++) {
                result[r] += matrix[r * x.length + k] * x[k];
            }
        }
        return result;
    }

    private static void add(double[] x, double[] y) {
        for (int i = 0; i < x.length; i++) {
            x[i] += y[i];
        }
    }

    private static double[] slice(double[] values, int index, int width) {
        double[] result = new double[width];
        System.arraycopy(values, index * width, result, 0, width);
        return result;
    }
}
