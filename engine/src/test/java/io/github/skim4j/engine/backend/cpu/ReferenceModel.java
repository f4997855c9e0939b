package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.model.ModelConfig;
import io.github.skim4j.engine.model.ModelWeights;
import io.github.skim4j.engine.model.Tensor;
import io.github.skim4j.engine.model.TensorRole;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/**
 * The model as plainly as it can be written, in double: one token at a time, keys kept unrotated and rotated anew at each step by
 * their place among the tokens still kept.
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

        Sequence() {
            for (int i = 0; i < config.layers(); i++) {
                keys.add(new ArrayList<>());
                values.add(new ArrayList<>());
            }
        }

        /** Forgets tokens {@code from} to {@code end} for good. */
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
            List<Integer> read = new ArrayList<>();
            for (int i = 0; i <= self; i++) {
                if (kept.get(i)) {
                    read.add(i);
                }
            }
            int place = read.size() - 1;
            double[] result = new double[config.heads() * d];
            for (int h = 0; h < config.heads(); h++) {
                int kvHead = h / config.group();
                double[] rotated = rotate(q, h * d, place, self + 1);
                double[] scores = new double[read.size()];
                double max = Double.NEGATIVE_INFINITY;
                for (int j = 0; j < scores.length; j++) {
                    if (place - j >= config.window(layer)) {
                        scores[j] = Double.NEGATIVE_INFINITY;
                        continue;
                    }
                    int token = read.get(j);
                    double[] k = rotate(keys.get(layer).get(token), kvHead * d, j, token + 1);
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
                for (int j = 0; j < scores.length; j++) {
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
