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
            ByteBuffer out =
                    ByteBuffer.wrap(target).order(ByteOrder.LITTLE_ENDIAN).position(offset);
            for (int row = from; row < from + count; row++) {
                // Each row has its own sequence, so that it doesn't matter which rows were read before.
                SplittableRandom random = new SplittableRandom(seed + row * 0x9e3779b97f4a7c15L);
                for (int column = 0; column < columns; column += type.blockSize()) {
                    writeBlock(random, out);
                }
            }
        }

        private void writeBlock(SplittableRandom random, ByteBuffer out) {
            switch (type) {
                case F32 -> out.putFloat(value(random));
                case F16 -> out.putShort(HalfFloats.floatToFloat16(value(random)));
                case BF16 -> out.putShort(HalfFloats.floatToBfloat16(value(random)));
                case Q8_0 -> {
                    out.putShort(scale(random, 128));
                    for (int i = 0; i < 4; i++) {
                        out.putLong(random.nextLong());
                    }
                }
                case Q4_0 -> {
                    out.putShort(scale(random, 8));
                    for (int i = 0; i < 2; i++) {
                        out.putLong(random.nextLong());
                    }
                }
                default -> throw new IllegalStateException(type.name());
            }
        }

        private float value(SplittableRandom random) {
            return centre + radius * (random.nextInt() * 0x1p-31f);
        }

        /** A block's scale, up to a tenth from what maps {@code largest} to the radius, so that no two blocks are alike. */
        private short scale(SplittableRandom random, int largest) {
            float variation = 1 + 0.1f * (random.nextInt() * 0x1p-31f);
            return HalfFloats.floatToFloat16(radius * variation / largest);
        }
    }
}
