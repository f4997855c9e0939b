package io.github.skim4j.engine.backend.cpu;

import io.github.skim4j.engine.model.Architecture;
import io.github.skim4j.engine.model.HalfFloats;
import io.github.skim4j.engine.model.LabelChannels;
import io.github.skim4j.engine.model.ModelConfig;
import io.github.skim4j.engine.model.ModelWeights;
import io.github.skim4j.engine.model.RandomWeights;
import io.github.skim4j.engine.model.Rope;
import io.github.skim4j.engine.model.Tensor;
import io.github.skim4j.engine.model.TensorRole;
import io.github.skim4j.engine.model.TensorType;
import java.util.EnumSet;
import java.util.List;
import java.util.Random;
import java.util.Set;

/** Small models of random shapes, for tests of any backend. */
public final class RandomModels {

    private RandomModels() {}

    public static <T> T pick(Random random, List<T> values) {
        return values.get(random.nextInt(values.size()));
    }

    /** @param block that rows must be multiples of */
    public static ModelConfig config(Random random, int block, int contextLength) {
        int headDim = pick(random, block > 32 ? List.of(64, 128) : List.of(64, 80, 96, 128));
        int kvHeads = pick(random, List.of(1, 2, 3));
        int group = pick(random, List.of(1, 2, 3, 4, 8));
        if (block > 32) {
            kvHeads = 2;
            group = pick(random, List.of(2, 4));
        }
        if (headDim == 80 && kvHeads * group % 2 == 1) {
            group *= 2; // so that rows of the output projection are whole blocks
        }
        boolean window = random.nextInt(3) == 0;
        return new ModelConfig(
                Architecture.LLAMA,
                60 + random.nextInt(60),
                block * (1 + random.nextInt(block > 32 ? 1 : 3)),
                block * (1 + random.nextInt(block > 32 ? 2 : 9)),
                2,
                kvHeads * group,
                kvHeads,
                headDim,
                contextLength,
                1e-5f,
                new Rope(10_000, scaling(random, headDim), random.nextBoolean()),
                window ? 5 + random.nextInt(40) : 0,
                window ? random.nextInt(2) : 0,
                random.nextBoolean(),
                random.nextBoolean());
    }

    public static LabelChannels labelChannels(ModelConfig config, Random random) {
        float[][][] weights = new float[config.layers()][config.kvHeads()][config.headDim()];
        for (float[][] layer : weights) {
            for (float[] head : layer) {
                for (int i = 0; i < head.length; i++) {
                    head[i] = random.nextFloat();
                }
            }
        }
        return LabelChannels.ofWeights(weights);
    }

    public static Rope.Scaling scaling(Random random, int headDim) {
        float[] divisors = new float[headDim / 2];
        for (int i = 0; i < divisors.length; i++) {
            divisors[i] = 1 + 3 * random.nextFloat();
        }
        return pick(
                random,
                List.of(
                        new Rope.None(),
                        new Rope.Linear(4),
                        new Rope.Llama3(8, 1, 4, 64),
                        new Rope.Yarn(4, 64, 32, 1, 1.1386, true),
                        new Rope.Dynamic(2, 32),
                        new Rope.Factors(divisors)));
    }

    public static Set<TensorRole> biases(Random random) {
        Set<TensorRole> biases = EnumSet.noneOf(TensorRole.class);
        for (TensorRole role : TensorRole.values()) {
            if (role.isBias() && random.nextInt(3) == 0) {
                biases.add(role);
            }
        }
        return biases;
    }

    public static ModelWeights weights(ModelConfig config, TensorType type, Random random) {
        ModelWeights plain = new RandomWeights(config, TensorType.F32, biases(random), random.nextLong());
        if (type == TensorType.F32) {
            return plain;
        }
        long seed = random.nextLong();
        return new ModelWeights() {
            @Override
            public String name() {
                return "random blocks";
            }

            @Override
            public ModelConfig config() {
                return config;
            }

            @Override
            public Tensor find(TensorRole role, int layer) {
                Tensor tensor = plain.find(role, layer);
                return tensor == null || !role.isMatrix()
                        ? tensor
                        : new BlockTensor(
                                role + "." + layer,
                                type,
                                tensor.rows(),
                                tensor.columns(),
                                seed + 100 * role.ordinal() + layer);
            }
        };
    }

    /** Random bytes, but for the half-float scales in each block. */
    record BlockTensor(String name, TensorType type, int rows, int columns, long seed) implements Tensor {

        @Override
        public void read(int from, int count, byte[] target, int offset) {
            for (int row = from; row < from + count; row++) {
                byte[] bytes = new byte[rowBytes()];
                Random random = new Random(seed * 31 + row);
                random.nextBytes(bytes);
                for (int b = 0; b < columns / type.blockSize(); b++) {
                    for (int at : halves(type)) {
                        float value = (float) ((0.5 + random.nextFloat()) / Math.sqrt(columns) / magnitude(type));
                        value = at == 2 && (type == TensorType.Q4_1 || type == TensorType.Q5_1) ? -value * 8 : value;
                        put(bytes, b * type.blockBytes() + at, HalfFloats.floatToFloat16(value));
                    }
                }
                if (type == TensorType.F32) {
                    for (int k = 0; k < columns; k++) {
                        int bits = Float.floatToIntBits((float) (random.nextGaussian() / Math.sqrt(columns)));
                        put(bytes, 4 * k, (short) bits);
                        put(bytes, 4 * k + 2, (short) (bits >> 16));
                    }
                }
                if (type == TensorType.F16 || type == TensorType.BF16) {
                    for (int k = 0; k < columns; k++) {
                        float value = (float) (random.nextGaussian() / Math.sqrt(columns));
                        put(
                                bytes,
                                2 * k,
                                type == TensorType.F16
                                        ? HalfFloats.floatToFloat16(value)
                                        : HalfFloats.floatToBfloat16(value));
                    }
                }
                System.arraycopy(bytes, 0, target, offset + (row - from) * rowBytes(), rowBytes());
            }
        }

        private static void put(byte[] bytes, int at, short value) {
            bytes[at] = (byte) value;
            bytes[at + 1] = (byte) (value >> 8);
        }

        private static int[] halves(TensorType type) {
            return switch (type) {
                case F32, F16, BF16 -> new int[] {};
                case Q8_0, Q4_0, Q5_0, IQ4_NL, IQ4_XS -> new int[] {0};
                case Q4_1, Q5_1, Q4_K, Q5_K -> new int[] {0, 2};
                case Q2_K -> new int[] {80, 82};
                case Q3_K -> new int[] {108};
                case Q6_K -> new int[] {208};
            };
        }

        /** About the greatest level times sub-scale. */
        private static double magnitude(TensorType type) {
            return switch (type) {
                case Q4_0, Q4_1 -> 5;
                case Q5_0, Q5_1 -> 10;
                case Q2_K -> 20;
                case Q3_K -> 60;
                case Q4_K, Q5_K -> 300;
                case Q6_K, IQ4_XS -> 1500;
                default -> 70;
            };
        }
    }
}
