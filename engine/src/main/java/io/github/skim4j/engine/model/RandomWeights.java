package io.github.skim4j.engine.model;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.EnumSet;
import java.util.Objects;
import java.util.Set;
import java.util.SplittableRandom;

/**
 * Random weights of a given shape, for measuring speed and for tests. Values are made when they are read, the same for the same
 * seed, so that a shape of any size costs no memory. Matrices have zero mean and variance 1/columns, which keeps activations near
 * 1; norms are near 1, biases near 0, both F32.
 */
public final class RandomWeights implements ModelWeights {

    private final ModelConfig config;
    private final TensorType type;
    private final Set<TensorRole> biases;
    private final long seed;

    /**
     * @param type of matrices: F32, F16, BF16, Q8_0 or Q4_0
     * @param biases bias roles that the model has
     * @throws IllegalArgumentException for another type, or if a row is not whole blocks
     */
    public RandomWeights(ModelConfig config, TensorType type, Set<TensorRole> biases, long seed) {
        this.config = config;
        this.type = type;
        this.biases = biases.isEmpty() ? EnumSet.noneOf(TensorRole.class) : EnumSet.copyOf(biases);
        this.seed = seed;
        if (!EnumSet.of(TensorType.F32, TensorType.F16, TensorType.BF16, TensorType.Q8_0, TensorType.Q4_0)
                .contains(type)) {
            throw new IllegalArgumentException("can't make random weights of type " + type);
        }
        for (TensorRole role : TensorRole.values()) {
            if (role.isMatrix() && role.columns(config) % type.blockSize() != 0) {
                throw new IllegalArgumentException(role + " has " + role.columns(config)
                        + " columns, which are not whole blocks of " + type.blockSize() + " for " + type);
            }
        }
    }

    public RandomWeights(ModelConfig config, TensorType type, long seed) {
        this(config, type, Set.of(), seed);
    }

    @Override
    public String name() {
        return "random weights";
    }

    @Override
    public ModelConfig config() {
        return config;
    }

    @Override
    public Tensor find(TensorRole role, int layer) {
        if (!role.required(config) && !biases.contains(role)) {
            return null;
        }
        int index = role.perLayer() ? Objects.checkIndex(layer, config.layers()) : 0;
        long tensorSeed = new SplittableRandom(seed ^ (long) role.ordinal() << 32 ^ index).nextLong();
        int rows = role.rows(config);
        int columns = role.columns(config);
        String name = role + " of layer " + index;
        if (role.isNorm()) {
            return new RandomTensor(name, TensorType.F32, rows, columns, 1, 0.1f, tensorSeed);
        }
        if (role.isBias()) {
            return new RandomTensor(name, TensorType.F32, rows, columns, 0, 0.1f, tensorSeed);
        }
        return new RandomTensor(name, type, rows, columns, 0, (float) Math.sqrt(3.0 / columns), tensorSeed);
    }

    /** Values evenly spread over [{@code centre - radius}, {@code centre + radius}). */
    private record RandomTensor(
            String name, TensorType type, int rows, int columns, float centre, float radius, long seed)
            implements Tensor {

        @Override
        public void read(int from, int count, byte[] target, int offset) {
            Objects.checkFromIndexSize(from, count, rows);
            Objects.checkFromIndexSize((long) offset, (long) count * rowBytes(), target.length);
            for (int i = 0; i < count; i++) {
                // Each row has its own sequence, so that it doesn't matter which rows were read before.
                SplittableRandom random = new SplittableRandom(seed + from + i);
                int start = offset + i * rowBytes();
                if (type.blockSize() == 1) {
                    writeFloats(random.nextLong(), target, start);
                } else {
                    writeBlocks(random.nextLong(), target, start);
                }
            }
        }

        private void writeFloats(long state, byte[] target, int start) {
            float[] values = new float[columns];
            for (int i = 0; i < columns; i++) {
                state = next(state);
                values[i] = centre + radius * uniform(state);
            }
            Quantization.quantize(type, values, 0, target, start, columns);
        }

        /** A scale near the one that maps the largest value to the radius, no two alike, then random bits. */
        private void writeBlocks(long state, byte[] target, int start) {
            ByteBuffer out = ByteBuffer.wrap(target).order(ByteOrder.LITTLE_ENDIAN);
            int largest = type == TensorType.Q8_0 ? 128 : 8;
            int end = start + rowBytes();
            for (int block = start; block < end; block += type.blockBytes()) {
                state = next(state);
                out.putShort(block, HalfFloats.floatToFloat16(radius * (1 + 0.1f * uniform(state)) / largest));
                for (int at = block + 2; at < block + type.blockBytes(); at += Long.BYTES) {
                    state = next(state);
                    out.putLong(at, state);
                }
            }
        }

        /** Marsaglia's xorshift64; the state is never 0 but for one seed in 2^64. */
        private static long next(long state) {
            state ^= state << 13;
            state ^= state >>> 7;
            return state ^ state << 17;
        }

        /** In [-1, 1). */
        private static float uniform(long state) {
            return (int) (state >>> 32) * 0x1p-31f;
        }
    }
}
